"""System checks of a deployment, as far as they need no server but the database."""

import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.db import OperationalError, connections
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import Settings

from config import deploy_checks, health
from config.celery import app
from config.deploy_checks import Use
from tools.dev.broker import free_port

Check = Callable[[None], Iterable[CheckMessage]]

BROKER = Use("broker", "redis://localhost:6379/0", keeps=True)


def ids(check: Check) -> list[str | None]:
    return [message.id for message in check(None)]


def using(monkeypatch: pytest.MonkeyPatch, *uses: Use) -> None:
    monkeypatch.setattr(deploy_checks, "redis_uses", lambda: list(uses))


def test_what_redis_is_used_for_follows_from_the_settings(settings: Settings) -> None:
    settings.CACHES = {"default": {"LOCATION": "rediss://cache:6380/2"}}

    [cache] = deploy_checks.redis_uses()

    assert (cache.purpose, cache.keeps) == ("cache", False)
    assert (cache.server, cache.database) == ("cache:6380", "cache:6380/2")


def test_these_checks_wait_for_a_deployment() -> None:
    assert not [one for one in run_checks() if one.id == "config.E018"]


# --- Redis


def test_redis_that_is_down_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    using(monkeypatch, Use("broker", f"redis://:geheim@127.0.0.1:{port}/0", keeps=True))

    [error] = deploy_checks.redis_keeps_messages(None)

    assert error.id == "config.E010"
    assert f"127.0.0.1:{port} (broker) does not answer" in error.msg
    assert "geheim" not in str(error)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost:6379/0", ["config.E013"]),
        ("redis://127.0.0.1/0", ["config.E013"]),
        ("redis://:other@LOCALHOST", ["config.E013"]),
        ("redis://localhost:6379/2", []),
        ("redis://elsewhere:6379/0", []),
    ],
)
def test_cache_in_the_database_of_the_broker_is_found(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: list[str]
) -> None:
    using(monkeypatch, BROKER, Use("cache", url, keeps=False))

    assert ids(deploy_checks.cache_is_apart) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("rediss://redis:6379/0", []),
        ("rediss://redis:6379/0?ssl_cert_reqs=required", []),
        ("rediss://redis:6379/0?ssl_cert_reqs=none", ["config.E020"]),
        ("rediss://redis:6379/0?ssl_cert_reqs=CERT_OPTIONAL", ["config.E020"]),
        ("rediss://redis:6379/0?ssl_check_hostname=false", ["config.E020"]),
    ],
)
def test_tls_that_trusts_anyone_is_found(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: list[str]
) -> None:
    using(monkeypatch, BROKER._replace(url=url))

    assert ids(deploy_checks.tls_is_verified) == expected


@pytest.mark.parametrize("setting", ["broker_use_ssl", "redis_backend_use_ssl"])
def test_option_of_celery_that_trusts_anyone_is_found(
    monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setitem(app.conf, setting, {"ssl_cert_reqs": ssl.CERT_NONE})

    assert ids(deploy_checks.tls_is_verified) == ["config.E020"]


def test_eager_tasks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.conf, "task_always_eager", True)

    assert ids(deploy_checks.tasks_run_in_workers) == ["config.E014"]


def test_debug_is_found_by_django(settings: Settings) -> None:
    settings.DEBUG = True

    found = run_checks(tags=["security"], include_deployment_checks=True)

    assert "security.W018" in [message.id for message in found]


# --- the database


@pytest.mark.django_db(transaction=True)
def test_database_that_is_ready_passes() -> None:
    assert ids(deploy_checks.database_is_ready) == []


@pytest.mark.django_db(transaction=True)
def test_pending_migration_is_found() -> None:
    applied = MigrationRecorder.Migration.objects.filter(app="app")
    rows = list(applied)
    applied.delete()
    try:
        assert ids(deploy_checks.database_is_ready) == ["config.E016"]
    finally:
        MigrationRecorder.Migration.objects.bulk_create(rows)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("difference", [-60, 60])
def test_clock_that_differs_is_found(
    monkeypatch: pytest.MonkeyPatch, difference: int
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + difference)

    [error] = deploy_checks.database_is_ready(None)

    assert error.id == "config.E017"
    assert f"{-difference:+d} s" in error.msg


def test_database_that_is_down_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> Any:
        raise OperationalError("connection to app:geheim@postgres refused")

    connection = connections["default"]
    monkeypatch.setattr(type(connection), "get_new_connection", lambda *_: refuse(0))
    monkeypatch.setattr(type(connection), "ensure_connection", refuse)

    [error] = deploy_checks.database_is_ready(None)

    assert error.id == "config.E015"
    assert "geheim" not in str(error)


# --- workers


def test_broker_that_is_down_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "broker_state", lambda seconds: "down")

    assert ids(deploy_checks.every_queue_is_served) == ["config.E018"]
