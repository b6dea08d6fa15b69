"""How often a limited task starts, however many workers there are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery import group
from django.db import connection

from config.celery import app
from ledger import lanes, limits, relay, sql
from ledger.claim import SUSPECT_CRASHES
from ledger.models import RateLimit, TaskRun
from ledger.states import State
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import add, limited, plain_limited
from tests.harness.inline import InlineWorker, run_of

HOUR = 3600.0


@pytest.fixture
def _hourly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit the task so much that no slot comes free during a test."""
    monkeypatch.setattr(limited, "start_interval", HOUR)


hourly = pytest.mark.usefixtures("_hourly")


def an_hour_later() -> None:
    for clock in ("next_start", "next_ring"):
        earlier = sql.plus(clock, "-3600")
        sql.execute(f"UPDATE ledger_ratelimit SET {clock} = {earlier}")


def ring_all() -> None:
    """Ring for all runs at once, as a queue does that stood still for a while."""
    waiting = TaskRun.objects.filter(state=State.PENDING)
    ids = list(waiting.values_list("id", flat=True))
    where = f"id IN ({sql.placeholders(ids)})"
    relay._ring(relay._take(where, [*ids], order="id"))


def states() -> list[str]:
    return sorted(TaskRun.objects.values_list("state", flat=True))


@pytest.mark.parametrize(
    ("rate_limit", "seconds"),
    [("20/m", 3), ("1/h", 3600), ("10/s", 0.1), (4, 0.25), (None, None), ("0/s", None)],
)
def test_notation_is_celerys(rate_limit: Any, seconds: float | None) -> None:
    assert limits.interval(rate_limit) == seconds


def test_rate_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="such as 20/m"):
        limits.interval("often")


def test_celery_counts_for_plain_tasks_only() -> None:
    assert (limited.rate_limit, limited.start_interval) == (None, 0.1)
    assert plain_limited.rate_limit == "10/s"
    assert add.start_interval is None


def test_slots_that_many_ask_for_at_once_are_taken_once() -> None:
    def take(number: int) -> bool:
        try:
            return limits.take_slot("task", HOUR, "next_start")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(take, range(24)))

    assert sum(taken) == limits.BURST


@hourly
def test_run_that_came_too_early_waits_and_has_not_been_attempted(
    worker: InlineWorker,
) -> None:
    results = group(limited.s(str(n)) for n in range(5))()
    ring_all()

    with app.connection_for_write() as broker:
        for message in worker.messages(broker):
            worker.execute(message)

    assert Effect.objects.count() == limits.BURST
    waiting = TaskRun.objects.filter(state=State.PENDING)
    counted = waiting.values_list("attempts", "crashes", "call_number", "lane")
    assert set(counted) == {(0, 0, 0, f"fast {limited.name}")}
    assert len(results) == 5


@hourly
def test_run_that_waits_for_a_slot_is_started_in_the_next_one(
    worker: InlineWorker,
) -> None:
    group(limited.s(str(n)) for n in range(4))()
    done = []

    for _ in range(3):
        for _ in range(5):
            worker.drain(now=False)
        done.append(Effect.objects.count())
        an_hour_later()

    assert done == [2, 3, 4]


@hourly
def test_only_as_many_are_rung_as_may_start() -> None:
    group(limited.s(str(n)) for n in range(50))()

    for _ in range(5):
        relay.step()

    assert TaskRun.objects.filter(state=State.QUEUED).count() == limits.BURST


@hourly
def test_single_run_is_rung_at_once_if_its_slot_is_free(worker: InlineWorker) -> None:
    first = limited.delay("first")
    assert run_of(first).state == State.QUEUED

    worker.drain(now=False)

    assert run_of(limited.delay("second")).state == State.PENDING


@hourly
def test_message_that_finds_nothing_to_claim_takes_no_slot(
    worker: InlineWorker,
) -> None:
    limited.delay("once")
    with app.connection_for_write() as broker:
        [message] = worker.messages(broker)
    worker.execute(message)
    before = RateLimit.objects.get().next_start

    for _ in range(5):
        worker.execute(message)

    assert RateLimit.objects.get().next_start == before


@hourly
def test_most_urgent_run_of_a_limited_task_gets_the_slot() -> None:
    low, high = (limited.s("x").set(priority=level) for level in (9, 2))
    group([low, low, high, high])()

    relay.step()

    rung = TaskRun.objects.filter(state=State.QUEUED)
    assert list(rung.values_list("priority", flat=True)) == [2, 2]


@hourly
def test_low_priority_waits_for_its_queue_even_if_its_slot_is_free() -> None:
    for number in range(50):
        add.delay(number, 0)
    low = limited.apply_async(("low",), priority=9)
    urgent = limited.apply_async(("urgent",), priority=0)

    relay.step()

    assert run_of(low).state == State.PENDING
    assert run_of(urgent).state == State.QUEUED


@hourly
def test_suspect_that_came_too_early_still_starts_alone(worker: InlineWorker) -> None:
    suspect = limited.delay("suspect")
    for _ in range(limits.BURST):
        assert limits.take_slot(limited.name, HOUR, "next_start")
    TaskRun.objects.update(crashes=SUSPECT_CRASHES)

    worker.drain(now=False)

    run = run_of(suspect)
    assert (run.state, run.lane) == (State.PENDING, "")
    assert run.run_at == RateLimit.objects.get().next_start


def test_limit_that_is_raised_does_not_wait_for_an_old_slot() -> None:
    for _ in range(limits.BURST):
        limits.take_slot("task", HOUR, "next_start")

    assert not limits.take_slot("task", HOUR, "next_start")
    assert limits.take_slot("task", 0.1, "next_start")


@hourly
def test_remote_control_changes_the_limit_for_all_workers() -> None:
    def starts() -> int:
        taken = [limits.take_slot(limited.name, HOUR, "next_start") for _ in range(5)]
        return sum(taken)

    app.control.rate_limit(limited.name, 0)
    assert starts() == 5
    group(limited.s(str(n)) for n in range(50))()
    relay.step()
    assert TaskRun.objects.filter(state=State.QUEUED).count() == 50
    app.control.rate_limit(limited.name, "1/h")
    assert starts() == 2
    app.control.rate_limit(limited.name, None)  # type: ignore[arg-type]  # ours takes it
    assert starts() == 0


def test_remote_control_of_any_other_task_is_celerys_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        app.control, "broadcast", lambda name, **kwargs: told.append(name)
    )

    app.control.rate_limit(plain_limited.name, "5/m")
    app.control.rate_limit(add.name, "5/m")
    app.control.rate_limit(limited.name, "5/m")

    assert told == ["rate_limit", "rate_limit"]


def test_relay_that_let_a_limited_run_go_looks_again_when_the_next_may() -> None:
    group(limited.s(str(n)) for n in range(2))()

    relay.step()

    assert lanes.SHORTEST_PAUSE_SECONDS <= lanes.pause(5) <= 0.1
    assert lanes.pause(5) == 5
