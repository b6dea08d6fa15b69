"""System checks of the registered tasks and the effective settings."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import Task
from celery.app.routes import prepare
from django.core.checks import CheckMessage, run_checks

from config import checks
from config.celery import app
from config.env import env

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def registered(module: str = "some_library.tasks", **options: Any) -> Iterator[None]:
    """Have a plain task, as a library would bring it along."""

    def work() -> None: ...

    work.__module__ = module
    declare: Any = app.task  # its types know no options that are computed
    task = declare(name="some_library.work", base=Task, **options)(work)
    app.finalize()
    try:
        yield
    finally:
        app.tasks.pop(task.name)


# Some of them are not as they should be, on purpose.
OF_TESTS = "Task tests."

SAFE: dict[str, Any] = {
    "acks_late": True,
    "reject_on_worker_lost": True,
    "soft_time_limit": 5,
    "time_limit": 10,
    "queue": "io",
}


def found() -> list[str | None]:
    """Return the ids of what `manage.py check` finds, in tasks of tests excepted."""
    return [
        message.id
        for message in run_checks()
        if not str(message.msg).startswith(OF_TESTS)
    ]


def message(check: Callable[..., Any]) -> str:
    """Return the only message of a check."""
    [error] = list[CheckMessage](check(None))
    return str(error)


def test_this_project_passes() -> None:
    assert found() == []


def test_annotations_of_tasks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.conf, "task_annotations", {"*": {"acks_late": False}})

    assert found() == ["config.E001"]


@pytest.mark.parametrize("option", ["acks_late", "reject_on_worker_lost"])
def test_task_of_a_library_that_may_be_lost_is_found(option: str) -> None:
    with registered(**SAFE | {option: False}):
        assert found() == ["config.E002"]
        assert f"some_library.work, of a library, has no {option}=True." in message(
            checks.tasks_of_libraries_are_safe
        )


def test_task_of_a_library_without_end_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(app.conf, "task_time_limit", None)

    with registered(**SAFE | {"time_limit": None}):
        assert "has no time_limit." in message(checks.tasks_of_libraries_are_safe)


def test_task_of_a_library_that_has_all_of_it_is_fine() -> None:
    with registered(**SAFE):
        assert found() == []


def test_task_of_our_own_is_left_to_the_contract() -> None:
    with registered("app.tasks.mail_tasks", **SAFE | {"acks_late": False}):
        assert found() == []


def test_task_that_a_route_sends_elsewhere_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = [{"app.tasks.notification_tasks.deliver_webhook": {"queue": "slow"}}]
    routes = [*prepare(elsewhere), *prepare(app.conf.task_routes)]
    monkeypatch.setattr(app.amqp, "router", app.amqp.Router(app.amqp.queues))
    monkeypatch.setattr(app.amqp.router, "routes", routes)

    assert "says queue 'io' and goes to 'slow'" in message(
        checks.tasks_go_where_they_say
    )


def test_rate_limit_of_a_plain_task_is_found() -> None:
    with registered(**SAFE | {"rate_limit": "10/m"}):
        assert found() == ["config.W004"]


def test_rate_limit_of_a_durable_task_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    durable = app.tasks["ledger.tasks.prune"]
    monkeypatch.setattr(type(durable), "rate_limit", "10/m")

    assert found() == []


def test_message_that_comes_again_while_its_task_runs_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    longest = max(task.time_limit or 0 for task in checks.registered_tasks())
    options = {"visibility_timeout": longest}
    monkeypatch.setitem(app.conf, "broker_transport_options", options)

    assert set(found()) == {"config.E005"}


def test_message_that_comes_again_while_a_plain_task_waits_is_found() -> None:
    wait = env.BROKER_VISIBILITY_TIMEOUT_SECONDS

    with registered(**SAFE | {"retry_backoff_max": wait}):
        assert found() == ["config.E005"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("accept_content", ["json", "pickle"]),
        ("result_accept_content", ["yaml"]),
        ("task_serializer", "pickle"),
        ("result_serializer", "pickle"),
    ],
)
def test_messages_that_are_no_json_are_found(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: object
) -> None:
    monkeypatch.setitem(app.conf, setting, value)

    assert found() == ["config.E006"]


def test_task_that_is_pickled_is_found() -> None:
    with registered(**SAFE | {"serializer": "pickle"}):
        assert found() == ["config.E006"]


@pytest.mark.parametrize("expires", [None, 0])
def test_results_that_are_kept_for_ever_are_found(
    monkeypatch: pytest.MonkeyPatch, expires: int | None
) -> None:
    monkeypatch.setitem(app.conf, "result_expires", expires)

    assert found() == ["config.E007"]


def test_index_of_the_contract_lists_every_check() -> None:
    sources = (ROOT / "config" / name for name in ("checks.py", "deploy_checks.py"))
    used = {
        id for path in sources for id in re.findall(r'id="(\S+)"', path.read_text())
    }
    index = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")

    assert used == set(re.findall(r"^\| (config\.\w+) \|", index, re.MULTILINE))
