"""Django's description of the platform."""

from importlib import import_module

from django.apps import AppConfig

from config.env import env


class PlatformConfig(AppConfig):
    """Registers the system checks; starts what reports to others, if that is asked for."""

    name = "config"

    def ready(self) -> None:
        import_module("config.checks")
        import_module("config.deploy_checks")
        if env.SENTRY_DSN:
            import_module("config.sentry").start(
                dsn=env.SENTRY_DSN.get_secret_value(),
                service=env.SERVICE_NAME,
                secrets=env.secrets(),
            )
        if env.OTEL_EXPORTER_OTLP_ENDPOINT:
            headers = env.OTEL_EXPORTER_OTLP_HEADERS
            import_module("config.tracing").start(
                endpoint=env.OTEL_EXPORTER_OTLP_ENDPOINT,
                headers=headers.get_secret_value() if headers else "",
                ratio=env.TRACES_RATIO,
                service=env.SERVICE_NAME,
            )
