"""Django's description of the ledger."""

from importlib import import_module

from django.apps import AppConfig


class LedgerConfig(AppConfig):
    """Connects the ledger to the signals of Celery's workers."""

    name = "ledger"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ledger import worker

        import_module("ledger.plain")  # registers its task
        worker.connect()
