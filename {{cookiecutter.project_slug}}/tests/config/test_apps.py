"""What is started with Django, and what is not."""

import os
import subprocess
import sys

import pytest

from config.env import BASE_DIR

# Of OpenTelemetry, the client of Redis imports what its own metrics would need, wherever it
# is installed: https://github.com/redis/redis-py/tree/master/redis/observability
OBSERVERS = (
    *("sentry_sdk", "opentelemetry.sdk.trace", "opentelemetry.exporter"),
    *("prometheus_client", "django_prometheus"),
)

LOADED = """
import sys, config.wsgi
from config.celery import app
app.loader.import_default_modules()
print(*sys.modules)
"""


def loaded(**env: str) -> set[str]:
    """Return the modules that a process of the service has imported, once it is ready."""
    finished = subprocess.run(
        [sys.executable, "-c", LOADED],
        cwd=BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **env},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return set(finished.stdout.split())


def test_what_is_not_asked_for_is_not_even_imported() -> None:
    assert loaded().isdisjoint(OBSERVERS)


@pytest.mark.parametrize(
    ("variable", "value", "module"),
    [
        ("SENTRY_DSN", "http://key@127.0.0.1:1/1", "sentry_sdk"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://127.0.0.1:1",
            "opentelemetry.sdk.trace",
        ),
        ("WEB_METRICS_PORT", "9401", "django_prometheus"),
    ],
)
def test_env_alone_switches_it_on(variable: str, value: str, module: str) -> None:
    assert module in loaded(**{variable: value})
