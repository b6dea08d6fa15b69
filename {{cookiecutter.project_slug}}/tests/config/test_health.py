"""Health checks of the web process."""

import socket
import time
from collections.abc import Iterator
from functools import partial

import pytest
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from kombu import Connection
from pytest_django import Settings

from config import drain
from config.celery import app
from config.env import NO_BROKER_URL

# What the probe waits for, with room for a slow machine: it is half a second here, and five
# (REDIS_TIMEOUT_SECONDS) if nothing bounds it.
SILENCE_SECONDS = 4


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Accepts connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_alive_needs_neither_database_nor_broker(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}


@pytest.mark.django_db
def test_ready_reports_a_broker_that_is_down_without_failing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Patching `app.conf` would leave its derived addresses behind for later tests.
    down = partial(Connection, NO_BROKER_URL)
    monkeypatch.setattr(app, "connection_for_write", down)

    response = client.get("/readyz")

    assert response.status_code == 200
    assert response.json()["broker"] == "down"


@pytest.mark.django_db
@pytest.mark.parametrize("scheme", ["redis", "rediss", "amqp", "amqps"])
def test_ready_does_not_wait_for_a_broker_that_is_silent(
    client: Client, monkeypatch: pytest.MonkeyPatch, silent_port: int, scheme: str
) -> None:
    silent = partial(app.connection_for_write, f"{scheme}://127.0.0.1:{silent_port}")
    monkeypatch.setattr(app, "connection_for_write", silent)
    begin = time.monotonic()

    response = client.get("/readyz")

    assert time.monotonic() - begin < SILENCE_SECONDS
    assert response.status_code == 200
    assert response.json()["broker"] == "down"


@pytest.mark.django_db
def test_not_ready_while_migrations_are_pending(client: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="app").delete()

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["database"] == "migrations pending"


def test_probe_may_name_any_host_and_come_without_tls(
    client: Client, settings: Settings
) -> None:
    settings.SECURE_SSL_REDIRECT = True

    assert client.get("/healthz", headers={"host": "10.0.0.5:8000"}).status_code == 200


@pytest.mark.django_db
def test_not_ready_when_the_server_is_about_to_stop(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "begun", lambda: True)

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["status"] == "stopping"
