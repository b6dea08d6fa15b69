"""Django's description of the ledger."""

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """Connects the ledger to the signals of Celery's workers."""

    name = "ledger"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ledger import worker

        worker.connect()
