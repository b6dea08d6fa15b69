"""Django's description of the tests' app."""

from django.apps import AppConfig


class EffectsConfig(AppConfig):
    """Has no migrations: its table is made with the test database."""

    name = "tests.harness.effects"
    label = "effects"
    default_auto_field = "django.db.models.BigAutoField"
