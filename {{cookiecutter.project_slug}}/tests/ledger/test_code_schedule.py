"""The schedule in the code becomes entries in the database, and leaves with the code."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from celery.schedules import crontab
from django.db import connection
from django.utils import timezone
from django_celery_beat.clockedschedule import clocked
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config.celery import app
from ledger.code_schedule import install
from ledger.schedule import LedgerScheduler
from tests.harness.effects.tasks import add, effect
from tests.ledger.entries import entry, settle, ticked

Install = Callable[..., None]


@pytest.fixture
def code(app_setting: Callable[[str, object], None]) -> Install:
    """Install what a version of the code has in its schedule."""

    def deploy(**schedule: dict[str, Any]) -> None:
        app_setting("beat_schedule", schedule)
        install(app)

    return deploy


def every(seconds: float, **fields: Any) -> dict[str, Any]:
    return {"task": add.name, "schedule": seconds, "args": [1, 2], **fields}


def names() -> list[str]:
    return sorted(PeriodicTask.objects.values_list("name", flat=True))


def stored(name: str) -> PeriodicTask:
    return PeriodicTask.objects.get(name=name)


def test_entry_of_the_code_is_stored_as_it_is(code: Install) -> None:
    options = {"expires": 90, "queue": "io", "priority": 3, "headers": {"team": "a"}}

    code(sum=every(120, kwargs={"z": 3}, options=options))

    found = stored("sum")
    assert (found.task, json.loads(found.args)) == (add.name, [1, 2])
    assert json.loads(found.kwargs) == {"z": 3}
    assert found.schedule.run_every == timedelta(minutes=2)
    assert (found.expire_seconds, found.queue, found.priority) == (90, "io", 3)
    assert json.loads(found.headers) == {"team": "a"}


def test_crontab_of_the_code_is_in_the_services_time_zone(code: Install) -> None:
    code(sum=every(0, schedule=crontab(minute="*/5", hour="3")))

    found = stored("sum").crontab
    assert (found.minute, found.hour) == ("*/5", "3")
    assert found.timezone == app.timezone


def test_moment_of_the_code_is_due_once(code: Install) -> None:
    moment = timezone.now() + timedelta(days=1)

    code(sum=every(0, schedule=clocked(moment)))

    assert stored("sum").one_off
    assert stored("sum").clocked.clocked_time == moment


def test_entry_that_left_the_code_is_removed_and_one_of_an_admin_stays(
    code: Install,
) -> None:
    entry(name="by hand")
    code(kept=every(60), dropped=every(60))

    code(kept=every(60))

    assert names() == ["by hand", "kept"]


def test_entry_that_changed_in_the_code_is_updated(code: Install) -> None:
    code(sum=every(60, options={"expires": 30}))
    code(sum=every(60, task=effect.name, args=["key"]))

    found = stored("sum")
    assert (found.task, json.loads(found.args)) == (effect.name, ["key"])
    assert found.expire_seconds is None


def test_what_an_admin_changed_but_for_disabling_is_set_again(code: Install) -> None:
    code(sum=every(60))
    PeriodicTask.objects.update(enabled=False, args="[3, 4]", description="mine")

    code(sum=every(60))

    found = stored("sum")
    assert (found.enabled, found.args) == (False, "[1, 2]")
    code()
    assert names() == []


def test_deploy_that_changes_nothing_writes_nothing(code: Install) -> None:
    code(sum=every(60), daily=every(0, schedule=crontab(hour="3", minute="0")))
    written: list[str] = []

    def record(execute: Any, sql: str, *rest: Any) -> Any:
        written.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(record):
        code(sum=every(60), daily=every(0, schedule=crontab(hour="3", minute="0")))

    entries = f'"{PeriodicTask._meta.db_table}"'
    assert not [sql for sql in written if entries in sql and "SELECT" not in sql]


def test_ticks_that_a_deploy_missed_are_made_up_for(
    code: Install, beat: LedgerScheduler
) -> None:
    code(sum=every(600))
    missed_since = timezone.now() - timedelta(minutes=25)
    PeriodicTask.objects.update(last_run_at=missed_since)

    code(sum=every(600, options={"expires": 30}))

    assert stored("sum").last_run_at == missed_since


def test_entry_with_another_schedule_begins_anew(
    code: Install, beat: LedgerScheduler
) -> None:
    code(sum=every(600))
    deployed = timezone.now()
    PeriodicTask.objects.update(last_run_at=deployed - timedelta(minutes=25))

    code(sum=every(300))
    settle(beat)

    assert [due for due in ticked() if due < deployed] == []


@pytest.mark.parametrize(
    ("unusable", "why"),
    [
        (every(0.5), "cannot keep"),
        (every(0, schedule=crontab(minute=[0, 30])), "Invalid"),
        (every(60, options={"time_limit": 3}), "time_limit"),
        (every(60, options={"expires": "soon"}), "whole seconds"),
        (every(60, relative=True), "relative"),
        (every(60, args=[object()]), "serializable"),
    ],
)
def test_entry_that_the_database_cannot_keep_is_refused_and_the_others_are_not(
    code: Install,
    caplog: pytest.LogCaptureFixture,
    unusable: dict[str, Any],
    why: str,
) -> None:
    code(before=every(60), odd=unusable, sound=every(60))

    assert names() == ["before", "sound"]
    assert "entry 'odd' of the schedule is not usable" in caplog.text
    assert why in caplog.text


def test_entry_that_became_unusable_stays_as_it_was(code: Install) -> None:
    code(sum=every(60))

    code(sum=every(0.5))

    assert stored("sum").schedule.run_every == timedelta(seconds=60)


def test_beats_that_start_at_once_install_each_entry_once(
    app_setting: Callable[[str, object], None],
) -> None:
    daily = every(0, schedule=crontab(hour="3", minute="0"))
    app_setting("beat_schedule", {"daily": daily, "sum": every(60)})
    together = threading.Barrier(6)
    errors: list[BaseException] = []

    def start() -> None:
        try:
            together.wait()
            install(app)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    beats = [threading.Thread(target=start) for _ in range(6)]
    for thread in beats:
        thread.start()
    for thread in beats:
        thread.join()

    assert not errors
    assert names() == ["daily", "sum"]
    assert CrontabSchedule.objects.count() == 1
