"""Django's description of the app."""

from django.apps import AppConfig


class BusinessConfig(AppConfig):
    """Loads the signal handlers that log every task."""

    name = "app"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from app.tasks.utils import monitoring

        monitoring.connect()
