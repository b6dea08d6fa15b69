"""What is counted of runs, from their rows."""

import time
from typing import Any

import pytest
from celery import Task, chain
from django.db import connection

from ledger import prune, tally
from ledger.cancel import cancel
from ledger.models import TaskRun
from ledger.replay import replay
from ledger.states import State
from ledger.tally import Counts, Tally, active
from tests.harness.effects.tasks import add, autoretried, echo, fail, replaced_by
from tests.harness.inline import InlineWorker, run_of

RETRIED = {"attempts": 1, "options": '{"retries": 1}'}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Tally:
    """A tally that has looked once, and sees at once what has ended."""
    monkeypatch.setattr(tally, "MARGIN_SECONDS", 0)
    observer = Tally()
    look(observer)
    return observer


def look(observer: Tally) -> None:
    time.sleep(0.005)  # SQLite tells milliseconds apart
    observer.update(active())


def counts_of(observer: Tally, task: Task[..., object]) -> Counts:
    look(observer)
    return observer.counts[task.name, "fast"]


def test_run_is_counted_when_it_is_stored_when_it_starts_and_when_it_ends(
    seen: Tally, worker: InlineWorker
) -> None:
    echo.delay(1)
    stored = counts_of(seen, echo)
    assert (stored.enqueued, stored.started) == (1, 0)

    worker.drain()

    ended = counts_of(seen, echo)
    assert (ended.enqueued, ended.started, ended.retried) == (1, 1, 0)
    assert ended.ended == {
        "cancelled": 0,
        "dead": 0,
        "failed": 0,
        "succeeded": 1,
    }


def test_looking_twice_counts_nothing_twice(seen: Tally, worker: InlineWorker) -> None:
    echo.delay(1)
    worker.drain()

    for _ in range(3):
        counts = counts_of(seen, echo)

    assert (counts.enqueued, counts.started, counts.ended["succeeded"]) == (1, 1, 1)


def test_what_was_there_before_the_first_look_was_not_enqueued_since(
    monkeypatch: pytest.MonkeyPatch, worker: InlineWorker
) -> None:
    monkeypatch.setattr(tally, "MARGIN_SECONDS", 0)
    echo.delay("before")
    observer = Tally()
    look(observer)

    echo.delay("since")
    worker.drain()

    counts = counts_of(observer, echo)
    assert (counts.enqueued, counts.started, counts.ended["succeeded"]) == (1, 2, 2)


def test_retry_is_counted_while_its_run_goes_on(seen: Tally) -> None:
    TaskRun.objects.create(
        id="1", name=echo.name, queue="fast", state=State.PENDING, **RETRIED
    )

    assert counts_of(seen, echo).retried == 1


def test_retries_are_counted_of_a_run_that_has_ended(
    seen: Tally, worker: InlineWorker
) -> None:
    autoretried.delay(2)
    worker.drain()

    counts = counts_of(seen, autoretried)
    assert (counts.enqueued, counts.started, counts.retried) == (1, 1, 2)


@pytest.mark.parametrize(
    "odd",
    ["\x00", "\udcff", "\\u0000", '"', "\u20ac", float("nan"), float("-inf")],
    ids=ascii,
)
def test_run_is_counted_whatever_is_in_its_options(
    seen: Tally, worker: InlineWorker, odd: Any
) -> None:
    chain(autoretried.si(1), echo.si(odd)).delay()
    worker.drain()

    counts = counts_of(seen, autoretried)
    assert (counts.enqueued, counts.started, counts.retried) == (1, 1, 1)
    assert counts_of(seen, echo).ended["succeeded"] == 1


def test_replay_is_another_run_of_which_nothing_is_counted_twice(
    seen: Tally, worker: InlineWorker
) -> None:
    failed = fail.delay()
    worker.drain()
    look(seen)

    replay(run_of(failed))
    worker.drain()

    counts = counts_of(seen, fail)
    assert (counts.enqueued, counts.started, counts.ended["failed"]) == (2, 2, 2)


def test_replaced_run_is_one_run(seen: Tally, worker: InlineWorker) -> None:
    replaced_by.delay(echo.si(1))
    worker.drain()

    look(seen)

    assert sum(counts.enqueued for counts in seen.counts.values()) == 1


def test_counts_do_not_shrink_when_rows_are_pruned(
    seen: Tally, worker: InlineWorker
) -> None:
    echo.delay(1)
    worker.drain()
    look(seen)

    TaskRun.objects.update(ended_at="2001-01-01T00:00Z")
    assert sum(prune.prune()) == 1

    assert counts_of(seen, echo).enqueued == 1


def test_waiting_and_running_are_measured_between_the_times_of_the_row(
    seen: Tally, worker: InlineWorker
) -> None:
    result = echo.delay(1)
    worker.drain()
    run = run_of(result)
    assert run.started_at and run.ended_at

    counts = counts_of(seen, echo)

    waited = (run.started_at - run.run_at).total_seconds()
    ran = (run.ended_at - run.started_at).total_seconds()
    assert counts.waiting.seconds == pytest.approx(waited, abs=0.002)
    assert counts.running.seconds == pytest.approx(ran, abs=0.002)
    assert dict(counts.waiting.cumulated())["+Inf"] == 1


def test_run_that_never_started_has_no_duration(
    seen: Tally, worker: InlineWorker
) -> None:
    cancel(run_of(echo.apply_async((1,), countdown=60)))

    counts = counts_of(seen, echo)

    assert (counts.started, counts.ended["cancelled"]) == (0, 1)
    assert dict(counts.waiting.cumulated())["+Inf"] == 0


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has one transaction that writes"
)
def test_end_is_counted_even_if_its_transaction_was_open_during_a_look(
    seen: Tally, worker: InlineWorker
) -> None:
    id = echo.delay(1).id
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute(
            "UPDATE ledger_taskrun SET state = 'running', started_at = now() WHERE id = %s",
            [id],
        )
        cursor.execute(
            "UPDATE ledger_taskrun SET state = 'succeeded', ended_at = now() WHERE id = %s",
            [id],
        )
        look(seen)
    other.commit()
    other.close()

    assert counts_of(seen, echo).ended["succeeded"] == 1


@pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite tells of no open transactions"
)
def test_transaction_that_writes_late_lets_nothing_be_counted_twice_or_missed(
    seen: Tally, worker: InlineWorker
) -> None:
    TaskRun.objects.create(id="late", name=echo.name, queue="fast", state=State.RUNNING)
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")  # open, and has written nothing
            time.sleep(0.005)
            add.delay(1, 2)
            worker.drain()
            assert counts_of(seen, add).ended["succeeded"] == 1

            cursor.execute(
                "UPDATE ledger_taskrun SET state = 'succeeded', attempts = 1,"
                " ended_at = statement_timestamp() WHERE id = 'late'"
            )
            for _ in range(2):
                assert counts_of(seen, add).ended["succeeded"] == 1
        other.commit()
    finally:
        other.close()

    assert counts_of(seen, add).ended["succeeded"] == 1
    assert counts_of(seen, echo).ended["succeeded"] == 1
