"""What the relay rings for, puts aside, and buries."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from config.celery import app
from ledger import doorbell, relay, sql, unstarted
from ledger.call import Call
from ledger.claim import SUSPECT_CRASHES, Claim
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import add
from tests.harness.inline import InlineWorker, run_of

only_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has one writer at a time"
)


def crash(run: TaskRun) -> None:
    """Start a run, and let its worker disappear."""
    sql.execute(f"UPDATE ledger_taskrun SET run_at = {sql.now()}, state = 'queued'")
    assert Claim.take(run.id, "token")
    sql.execute(f"UPDATE ledger_taskrun SET lease_until = {sql.later('-1')}")
    relay.step()
    run.refresh_from_db()


def test_lapsed_run_is_rung_again(worker: InlineWorker) -> None:
    result = add.delay(1, 2)
    run = run_of(result)
    with app.connection_for_write() as broker:
        worker.messages(broker)

    crash(run)

    assert run.state == State.QUEUED
    worker.drain()
    assert result.get(timeout=1) == 3


def test_runs_that_crashed_twice_are_started_one_at_a_time() -> None:
    runs = [run_of(add.delay(number, 1)) for number in range(3)]
    for _ in range(2):
        sql.execute("UPDATE ledger_taskrun SET state = 'queued'")
        assert all(Claim.take(run.id, "token") for run in runs)
        sql.execute(f"UPDATE ledger_taskrun SET lease_until = {sql.later('-1')}")
        relay.step()

    # A message of an earlier ring is still about.
    assert not any(Claim.take(run.id, "stray") for run in runs)
    relay.step()
    relay.step()

    def states() -> list[str]:
        return sorted(TaskRun.objects.values_list("state", flat=True))

    assert states() == [State.PENDING, State.PENDING, State.QUEUED]
    alone = Claim.take(TaskRun.objects.get(state=State.QUEUED).id, "token")
    relay.step()
    assert states() == [State.PENDING, State.PENDING, State.RUNNING]
    assert alone and alone.finish(State.SUCCEEDED)
    relay.step()
    assert states() == [State.PENDING, State.QUEUED, State.SUCCEEDED]


def test_run_ends_even_if_what_follows_from_that_is_impossible(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object) -> None:
        raise TypeError("odd")

    monkeypatch.setattr(unstarted, "_follow", fail)
    run = run_of(add.delay(1, 2))

    for _ in range(3):
        crash(run)

    assert run.state == State.DEAD
    assert f"what depends on {run.id} did not follow" in caplog.text


def test_run_that_crashed_three_times_is_dead_and_says_why(
    worker: InlineWorker,
) -> None:
    from celery.exceptions import WorkerLostError

    from tests.harness.effects.tasks import errback

    result = add.apply_async((1, 2), link_error=errback.s())
    run = run_of(result)

    for _ in range(3):
        crash(run)

    assert (run.state, run.attempts) == (State.DEAD, 3)
    assert "started 3 times" in run.reason
    with pytest.raises(WorkerLostError):
        result.get(timeout=1)
    worker.drain()
    assert Effect.objects.filter(key=f"errback {result.id}").count() == 1


def test_lost_message_is_rung_again_if_the_queue_is_empty(worker: InlineWorker) -> None:
    result = add.delay(1, 2)
    with app.connection_for_write() as broker:
        worker.messages(broker)
    sql.execute(f"UPDATE ledger_taskrun SET rung_at = {sql.later('-6')}")

    relay.step()

    assert run_of(result).rings == 1
    worker.drain()
    assert result.get(timeout=1) == 3


def test_message_in_a_backlog_is_not_rung_again() -> None:
    result = add.delay(1, 2)
    sql.execute(f"UPDATE ledger_taskrun SET rung_at = {sql.later('-6')}")

    relay.step()

    assert run_of(result).rings == 0


def test_queue_with_a_backlog_does_not_hide_an_empty_one(worker: InlineWorker) -> None:
    lost = add.apply_async((1, 2), queue="io")
    with app.connection_for_write() as broker:
        worker.messages(broker)
    waiting = add.delay(3, 4)
    sql.execute(f"UPDATE ledger_taskrun SET rung_at = {sql.later('-6')}")

    relay.step()

    assert (run_of(lost).rings, run_of(waiting).rings) == (1, 0)


def test_run_that_cannot_be_published_fails_and_holds_up_nobody(
    worker: InlineWorker,
) -> None:
    bad = add.apply_async((1, 2), countdown=60)
    good = add.apply_async((3, 4), countdown=60)
    TaskRun.objects.filter(pk=bad.id).update(options='{"serializer": "none such"}')

    worker.drain()

    assert run_of(bad).state == State.FAILED
    assert run_of(bad).reason
    assert good.get(timeout=1) == 7


def test_broker_that_is_down_leaves_the_row_pending(
    app_setting: Callable[[str, object], None],
) -> None:
    app_setting("broker_write_url", "redis://127.0.0.1:1/0")

    first, second = add.delay(1, 2), add.delay(3, 4)

    assert doorbell.is_down()
    assert [run_of(run).state for run in (first, second)] == [State.PENDING] * 2


def test_broker_that_is_back_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="ledger.doorbell")
    monkeypatch.setitem(doorbell._down_until, app.conf.broker_write_url, 0.0)

    add.delay(1, 2)
    add.delay(3, 4)

    said = [record.getMessage() for record in caplog.records]
    assert said == ["broker takes messages again"]


def test_broker_that_is_down_is_tried_once_and_not_by_every_caller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts: list[str] = []

    def unreachable(app: object, call: Call, producer: object) -> None:
        attempts.append(call.id)
        raise OSError("unreachable")

    monkeypatch.setattr(doorbell, "_publish", unreachable)
    with transaction.atomic():
        results = [add.delay(number, 1) for number in range(5)]

    assert len(attempts) == 1
    assert {run_of(result).state for result in results} == {State.PENDING}


@pytest.fixture
def suspects() -> list[TaskRun]:
    """Runs of one queue that may be started only one at a time."""
    runs = [run_of(add.delay(number, 1)) for number in range(3)]
    TaskRun.objects.update(state=State.PENDING, crashes=SUSPECT_CRASHES)
    return runs


def queued() -> int:
    return TaskRun.objects.filter(state=State.QUEUED).count()


@only_postgresql
def test_relays_that_look_at_once_ring_for_one_suspect(suspects: list[TaskRun]) -> None:
    def ring(barrier: threading.Barrier) -> None:
        try:
            barrier.wait(10)
            assert relay.ring_due()
        finally:
            connection.close()

    most = 0
    for _ in range(40):
        TaskRun.objects.update(state=State.PENDING)
        both = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(ring, both) for _ in range(2)]:
                done.result(10)
        most = max(most, queued())

    assert most == 1


@only_postgresql
def test_relay_does_not_wait_for_another_that_rings_for_a_suspect(
    suspects: list[TaskRun],
) -> None:
    sql.execute("SET lock_timeout = '2s'")
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [relay.SUSPECTS_LOCK])
        assert relay.ring_due()
        assert queued() == 0

        other.rollback()
        assert relay.ring_due()
        assert queued() == 1
    finally:
        other.close()
        sql.execute("SET lock_timeout = 0")


@only_postgresql
def test_suspect_that_is_locked_is_not_waited_for(suspects: list[TaskRun]) -> None:
    sql.execute("SET lock_timeout = '2s'")
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM ledger_taskrun FOR UPDATE")
        assert relay.ring_due()
        assert queued() == 0
    finally:
        other.close()
        sql.execute("SET lock_timeout = 0")
