"""Who may start a run, and who may end it."""

from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.celery import app
from ledger import lease, relay, sql
from ledger.claim import Claim
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import add, effect, retried
from tests.harness.inline import InlineWorker, run_of


def test_same_message_twenty_times_runs_once(worker: InlineWorker) -> None:
    effect.delay("once")
    with app.connection_for_write() as broker:
        [message] = worker.messages(broker)

    for _ in range(20):
        worker.execute(message)

    assert Effect.objects.count() == 1


def test_run_is_claimed_once() -> None:
    run = run_of(add.delay(1, 2))

    claims = [Claim.take(run.id, f"message {number}") for number in range(3)]

    assert [held is not None for held in claims] == [True, False, False]


def test_message_of_an_earlier_call_does_not_start_a_later_one(
    worker: InlineWorker,
) -> None:
    result = retried.delay(2, "tried")
    with app.connection_for_write() as broker:
        [first] = worker.messages(broker)

    for _ in range(5):
        worker.execute(first)

    assert Effect.objects.count() == 1
    worker.drain()
    assert result.get(timeout=1) == 2
    assert Effect.objects.count() == 3


def test_run_that_is_not_due_cannot_be_claimed() -> None:
    run = run_of(add.apply_async((1, 2), countdown=60))

    assert Claim.take(run.id, "token") is None


def restarted(run: TaskRun) -> tuple[Claim, Claim]:
    """Return the claim of a worker whose lease ran out, and that of its successor."""
    old = Claim.take(run.id, "old")
    sql.execute(f"UPDATE ledger_taskrun SET lease_until = {sql.later('-1')}")
    relay.step()
    new = Claim.take(run.id, "new")
    assert old and new
    return old, new


def test_late_result_is_refused_once_another_worker_has_started() -> None:
    run = run_of(add.delay(1, 2))
    old, new = restarted(run)

    assert not old.finish(State.SUCCEEDED, result="1")
    assert new.finish(State.SUCCEEDED, result="2")

    run.refresh_from_db()
    assert run.result == "2"


def test_late_result_is_refused_after_the_same_message_came_again() -> None:
    run = run_of(add.delay(1, 2))
    old = Claim.take(run.id, "same")
    sql.execute("UPDATE ledger_taskrun SET state = 'queued'")
    new = Claim.take(run.id, "same")
    assert old and new

    assert not old.finish(State.SUCCEEDED)
    assert new.finish(State.SUCCEEDED)


def test_late_result_counts_while_nobody_has_started_again() -> None:
    run = run_of(add.delay(1, 2))
    old = Claim.take(run.id, "old")
    sql.execute(f"UPDATE ledger_taskrun SET lease_until = {sql.later('-1')}")
    relay.step()
    assert old

    assert old.finish(State.SUCCEEDED)
    assert Claim.take(run.id, "new") is None


def test_late_retry_and_late_progress_are_refused() -> None:
    old, _ = restarted(run_of(add.delay(1, 2)))

    assert not old.report("PROGRESS", "{}")
    old.replace()
    assert not old.ended


def test_only_the_worker_that_holds_a_run_can_release_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = run_of(add.delay(1, 2))
    Claim.take(run.id, "token")

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(lease.Worker, "name", "other")
        assert not lease.release(run.id, "token")
        assert lease.renew([run.id]) == 0
    assert not lease.release(run.id, "other token")
    assert lease.renew([run.id]) == 1
    assert lease.release(run.id, "token")


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite locks the database, not rows"
)
def test_heartbeat_does_not_wait_for_a_run_that_is_just_being_ended() -> None:
    runs = [run_of(add.delay(number, 1)) for number in range(2)]
    for run in runs:
        assert Claim.take(run.id, "token")
    ending = connection.copy()
    ending.set_autocommit(False)
    try:
        with ending.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM ledger_taskrun WHERE id = %s FOR UPDATE", [runs[0].id]
            )

        sql.execute("SET lock_timeout = '2s'")
        assert lease.renew([run.id for run in runs]) == 1
    finally:
        sql.execute("SET lock_timeout = 0")
        ending.rollback()
        ending.close()


def test_attempt_that_gave_its_run_back_cannot_end_it() -> None:
    run = run_of(add.delay(1, 2))
    held = Claim.take(run.id, "token")
    assert held

    held.give_back()

    assert not held.finish(State.SUCCEEDED)


def test_stopping_worker_frees_what_it_holds_and_blames_nobody() -> None:
    run = run_of(add.delay(1, 2))
    assert Claim.take(run.id, "token")

    assert lease.release_all() == 1

    run.refresh_from_db()
    assert run.crashes == 0
    assert run.lease_until is not None
    assert run.lease_until <= timezone.now()


def crashes_of_a_run_started_again_by(release: Callable[[TaskRun], object]) -> int:
    """Return the crashes of a run that had one, after its next start and its release."""
    run = run_of(add.delay(1, 2))
    TaskRun.objects.update(crashes=1)
    assert Claim.take(run.id, "token")
    release(run)
    run.refresh_from_db()
    return run.crashes


def test_stopping_worker_takes_back_the_start_of_its_own_and_no_earlier_crash() -> None:
    def stop(run: TaskRun) -> None:
        lease.release(run.id, "token", crashed=False)
        for _ in range(2):
            assert lease.release_all() == 0
        assert not lease.release(run.id, "token", crashed=False)

    assert crashes_of_a_run_started_again_by(stop) == 1


def test_run_that_crashed_just_before_its_worker_stops_is_not_acquitted() -> None:
    def crash_then_stop(run: TaskRun) -> None:
        assert lease.release(run.id, "token")
        assert lease.release_all() == 0

    assert crashes_of_a_run_started_again_by(crash_then_stop) == 2


def test_lease_that_ran_out_before_its_worker_stopped_is_left_to_the_relay() -> None:
    def lapse_then_stop(run: TaskRun) -> None:
        sql.execute(f"UPDATE ledger_taskrun SET lease_until = {sql.later('-1')}")
        assert lease.release_all() == 0

    assert crashes_of_a_run_started_again_by(lapse_then_stop) == 2
    relay.step()
    assert TaskRun.objects.get().state == State.PENDING  # until it can be started alone


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite always waits")
def test_end_waits_for_the_disk_unless_nothing_follows_from_it() -> None:
    alone, followed = (Claim.take(add.delay(1, 2).id, "token") for _ in range(2))
    assert alone and followed

    with CaptureQueriesContext(connection) as statements:
        alone.finish(State.SUCCEEDED)
        with transaction.atomic():
            followed.finish(State.SUCCEEDED)

    ends = [query["sql"] for query in statements if "ended_at" in query["sql"]]
    assert ["synchronous_commit" in end for end in ends] == [True, False]


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="only Django's PostgreSQL"
)
def test_key_of_a_run_has_one_index() -> None:
    with connection.cursor() as cursor:
        indexes = connection.introspection.get_constraints(cursor, "ledger_taskrun")

    of_key = [name for name, index in indexes.items() if index["columns"] == ["id"]]
    assert of_key == ["ledger_taskrun_pkey"]
