"""Django's description of the platform."""

from importlib import import_module

from django.apps import AppConfig


class PlatformConfig(AppConfig):
    """Registers the system checks of the running configuration."""

    name = "config"

    def ready(self) -> None:
        import_module("config.checks")
        import_module("config.deploy_checks")
