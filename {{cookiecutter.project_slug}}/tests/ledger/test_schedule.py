"""Ticks of the schedule: each is one run, whoever is late, stopped, or asks twice."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.db import DataError, OperationalError, connection
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from config.celery import app
from config.env import env
from ledger import doorbell, relay, schedule
from ledger.models import TaskRun
from ledger.replay import replay
from ledger.schedule import LedgerScheduler, tick_id
from ledger.states import State
from tests.harness.effects.tasks import add, due_effect, effect, replaced_by
from tests.harness.inline import InlineWorker, effects
from tests.ledger.entries import (
    EVERY,
    LATE,
    clocked,
    dues_of,
    entry,
    names,
    settle,
    ticked,
)


@contextmanager
def database_down() -> Iterator[None]:
    """Let every statement fail, as if the database were gone."""

    def refuse(*args: Any) -> None:
        raise OperationalError("gone")

    with connection.execute_wrapper(refuse):
        yield


# --- one run per tick


def test_tick_is_a_run_that_knows_its_entry_and_when_it_was_due(
    beat: LedgerScheduler, worker: InlineWorker
) -> None:
    periodic = entry()

    settle(beat)

    [run] = TaskRun.objects.all()
    headers = json.loads(run.options)["headers"]
    assert run.id == tick_id("entry", periodic.start_time)
    assert headers["periodic_task_name"] == "entry"
    assert headers["periodic_due_at"] == periodic.start_time.isoformat()
    worker.drain()
    assert effects() == ["key"]


def test_task_can_ask_when_its_tick_was_due(
    beat: LedgerScheduler, worker: InlineWorker
) -> None:
    periodic = entry(due_effect, args="[]")

    settle(beat)
    worker.drain()

    assert effects() == [periodic.start_time.isoformat()]


def test_tick_that_is_retried_and_replayed_was_due_when_it_was(
    beat: LedgerScheduler, worker: InlineWorker
) -> None:
    periodic = entry(due_effect, args="[3]")
    settle(beat)
    worker.drain()
    run = TaskRun.objects.get()
    assert run.state == State.FAILED

    assert replay(run)
    worker.drain()

    assert effects() == [periodic.start_time.isoformat()] * 3


def test_task_of_the_schedule_that_somebody_calls_is_due_now(
    worker: InlineWorker,
) -> None:
    begin = timezone.now()

    due_effect.delay()
    worker.drain()

    [due] = effects()
    assert begin <= datetime.fromisoformat(due) <= timezone.now()


def test_beat_sleeps_until_the_next_tick_is_due(beat: LedgerScheduler) -> None:
    beat.max_interval = 3600
    entry()

    wait = settle(beat)

    assert wait == pytest.approx((EVERY - LATE).total_seconds(), abs=30)


def test_several_beats_in_turn_run_a_tick_once() -> None:
    entry()

    settle(*(LedgerScheduler(app=app) for _ in range(3)))

    assert TaskRun.objects.count() == 1


def test_beat_that_read_the_entry_before_another_ran_it_runs_nothing(
    beat: LedgerScheduler,
) -> None:
    entry(missed=2)
    [read_before] = beat._entries()
    settle(LedgerScheduler(app=app))
    TaskRun.objects.all().delete()  # pruned, even

    beat._catch_up(read_before)

    assert not TaskRun.objects.exists()


def test_tick_does_not_run_before_the_database_says_that_it_is_due(
    beat: LedgerScheduler,
) -> None:
    entry()
    settle(beat)
    [read] = beat._entries()
    read.database_time += 2 * EVERY

    assert beat._catch_up(read) == schedule.LOST_RACE_SECONDS

    assert TaskRun.objects.count() == 1


def test_eight_beats_at_once_run_each_tick_once() -> None:
    periodic = entry(missed=4)
    together = threading.Barrier(8)
    errors: list[BaseException] = []

    def run_beat() -> None:
        try:
            beat = LedgerScheduler(app=app)
            together.wait()
            settle(beat)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    beats = [threading.Thread(target=run_beat) for _ in range(8)]
    for thread in beats:
        thread.start()
    for thread in beats:
        thread.join()

    assert not errors
    ids = {tick_id("entry", due) for due in dues_of(periodic, 4)}
    assert set(TaskRun.objects.values_list("pk", flat=True)) == ids
    periodic.refresh_from_db()
    assert periodic.total_run_count == 4


def test_tick_is_not_run_again_when_its_entry_is_saved_with_an_older_last_tick(
    beat: LedgerScheduler, worker: InlineWorker
) -> None:
    opened_by_an_admin = entry()
    settle(beat)
    worker.drain()

    opened_by_an_admin.save()
    settle(beat)
    worker.drain()

    assert effects() == ["key"]
    assert TaskRun.objects.count() == 1


def test_run_that_was_replaced_is_not_taken_over_by_its_own_tick(
    beat: LedgerScheduler,
) -> None:
    opened_by_an_admin = entry(replaced_by, args=json.dumps([add.s(1, 2)]))
    settle(beat)
    TaskRun.objects.update(state=State.RUNNING)
    TaskRun.objects.update(state=State.REPLACED)

    opened_by_an_admin.save()
    settle(beat)

    assert names(State.REPLACED) == [replaced_by.name]


def test_tick_that_cannot_be_enqueued_is_kept(beat: LedgerScheduler) -> None:
    periodic = entry(add, args="[1]")
    settle(beat)
    assert not TaskRun.objects.exists()

    PeriodicTask.objects.update(args="[1, 2]")
    settle(beat)

    assert TaskRun.objects.get().id == tick_id("entry", periodic.start_time)


def test_entry_that_cannot_run_does_not_stop_the_others_and_complains_once(
    beat: LedgerScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    entry(args="{nonsense", name="broken")
    entry(name="sound")

    settle(beat)
    settle(beat)

    assert names() == [effect.name]
    complaints = [r for r in caplog.records if r.name == schedule.__name__]
    [complaint] = [r.getMessage() for r in complaints]
    assert complaint.startswith("entry 'broken' of the schedule cannot run: ")


def test_entry_that_fails_in_another_way_complains_of_that(
    beat: LedgerScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    entry(args="{nonsense", name="broken")
    settle(beat)

    PeriodicTask.objects.update(args='["one", "two", "three", "four"]')
    settle(beat)

    complaints = [r for r in caplog.records if r.name == schedule.__name__]
    # Twice a minute at most is each text shown: see `NotEverySecond` in config/logs.py.
    assert len({r.getMessage() for r in complaints}) == 2


def test_entry_whose_run_the_database_refuses_does_not_stop_the_others(
    beat: LedgerScheduler,
) -> None:
    entry(name="refused", args='["refused"]')
    entry(name="sound")

    def refuse(execute: Any, sql: str, parameters: Any, *rest: Any) -> Any:
        if "INSERT" in sql and '["refused"]' in parameters:
            raise DataError("too long")
        return execute(sql, parameters, *rest)

    with connection.execute_wrapper(refuse):
        settle(beat)

    assert [run.args for run in TaskRun.objects.all()] == ['["key"]']
    assert PeriodicTask.objects.get(name="refused").total_run_count == 0


# --- what was missed


def test_each_tick_that_was_missed_is_made_up_for(
    beat: LedgerScheduler, worker: InlineWorker
) -> None:
    periodic = entry(missed=5)

    settle(beat)
    worker.drain()

    ids = {tick_id("entry", due) for due in dues_of(periodic, 5)}
    assert set(TaskRun.objects.values_list("pk", flat=True)) == ids
    assert effects() == ["key"] * 5


def test_more_missed_ticks_than_fit_into_one_step_are_made_up_for(
    beat: LedgerScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "TICKS_PER_STEP", 2)
    entry(missed=5)

    settle(beat)

    assert TaskRun.objects.count() == 5


def test_ticks_beyond_the_window_are_skipped_and_the_log_says_so_once(
    beat: LedgerScheduler,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(env, "LEDGER_CATCH_UP_SECONDS", 25 * 60)
    periodic = entry(missed=6)

    settle(beat, LedgerScheduler(app=app))

    ids = {tick_id("entry", due) for due in dues_of(periodic, 6)[-3:]}
    assert set(TaskRun.objects.values_list("pk", flat=True)) == ids
    assert [r.levelname for r in caplog.records if "skipped" in r.getMessage()] == [
        "WARNING"
    ]


def test_tick_that_is_made_up_for_after_it_expired_ends_as_cancelled(
    beat: LedgerScheduler, worker: InlineWorker
) -> None:
    entry(missed=3, expire_seconds=int(EVERY.total_seconds()))

    settle(beat)
    relay.step()
    worker.drain()

    assert names(State.CANCELLED) == [effect.name] * 2
    assert names(State.SUCCEEDED) == [effect.name]
    assert effects() == ["key"]


def test_tick_waits_while_the_broker_is_down(
    beat: LedgerScheduler,
    worker: InlineWorker,
    app_setting: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry()
    with monkeypatch.context() as down:
        down.setitem(app.conf, "broker_write_url", "redis://127.0.0.1:1/0")
        settle(beat)
        assert names(State.PENDING) == [effect.name]

    doorbell._down_until.clear()
    worker.drain()
    assert effects() == ["key"]


def test_ticks_wait_while_the_database_is_down(beat: LedgerScheduler) -> None:
    entry(missed=2)

    with database_down():
        assert beat.tick() == schedule.RETRY_SECONDS
    assert not TaskRun.objects.exists()

    settle(beat)
    assert TaskRun.objects.count() == 2


def test_beat_that_is_told_to_stop_does_so_while_the_database_is_down(
    beat: LedgerScheduler,
) -> None:
    beat.close()

    with database_down(), pytest.raises(SystemExit):
        beat.tick()


def test_beat_whose_database_is_down_at_its_start_installs_the_schedule_later(
    app_setting: Callable[[str, object], None],
) -> None:
    app_setting("beat_schedule", {"from code": {"task": add.name, "schedule": 60}})

    with database_down():
        beat = LedgerScheduler(app=app)
        beat.tick()
    settle(beat)

    assert PeriodicTask.objects.filter(name="from code").exists()


# --- what administrators do


def test_disabled_entry_does_not_run_and_what_it_left_out_is_not_made_up_for(
    beat: LedgerScheduler,
) -> None:
    entry(missed=3, enabled=False)

    settle(beat)
    PeriodicTask.objects.update(enabled=True)  # as the action in the admin does
    settle(beat)

    assert not TaskRun.objects.exists()


def test_entry_that_was_toggled_off_and_on_begins_anew(beat: LedgerScheduler) -> None:
    entry(missed=3)
    PeriodicTask.objects.update(enabled=False)  # keeps its last tick
    settle(beat)

    PeriodicTask.objects.update(enabled=True)
    settle(beat)

    assert not TaskRun.objects.exists()


def test_entry_that_is_disabled_after_it_was_read_does_not_run(
    beat: LedgerScheduler,
) -> None:
    entry()
    [read_before] = beat._entries()
    PeriodicTask.objects.update(enabled=False)

    beat._catch_up(read_before)

    assert not TaskRun.objects.exists()


def test_new_entry_begins_when_a_beat_first_sees_it(beat: LedgerScheduler) -> None:
    entry(missed=3, last_run_at=None)

    settle(beat)

    assert not TaskRun.objects.exists()
    assert PeriodicTask.objects.get().last_run_at is not None


def test_entry_runs_within_its_start_and_its_end_only(beat: LedgerScheduler) -> None:
    start = timezone.now() - LATE - 2 * EVERY
    entry(
        start_time=start,
        last_run_at=start - 10 * EVERY,
        expires=start + 2 * EVERY,
    )

    settle(beat)

    ids = {tick_id("entry", start), tick_id("entry", start + EVERY)}
    assert set(TaskRun.objects.values_list("pk", flat=True)) == ids


def test_one_off_entry_runs_once_and_is_then_disabled(beat: LedgerScheduler) -> None:
    entry(missed=3, one_off=True)

    settle(beat)

    assert TaskRun.objects.count() == 1
    assert not PeriodicTask.objects.get().enabled


def test_clocked_entry_runs_once_and_is_then_disabled(beat: LedgerScheduler) -> None:
    clocked(timezone.now() - LATE)

    settle(beat)
    PeriodicTask.objects.update(enabled=True)
    settle(beat)

    assert TaskRun.objects.count() == 1
    assert not PeriodicTask.objects.get().enabled


def test_clocked_entry_beyond_the_window_is_skipped_once(
    beat: LedgerScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    clocked(timezone.now() - timedelta(days=1))

    settle(beat)
    settle(beat)

    assert not TaskRun.objects.exists()
    assert len([r for r in caplog.records if "skipped" in r.getMessage()]) == 1


def test_crontab_ticks_in_its_time_zone(
    beat: LedgerScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "LEDGER_CATCH_UP_SECONDS", 2 * 86_400)
    noon = CrontabSchedule.objects.create(minute="0", hour="12", timezone="Asia/Tokyo")
    yesterday = timezone.now() - timedelta(days=1)
    entry(interval=None, crontab=noon, start_time=None, last_run_at=yesterday)

    settle(beat)

    # Two, if it is noon in Tokyo right now.
    assert {due.astimezone(UTC).time() for due in ticked()} == {time(3, 0)}
