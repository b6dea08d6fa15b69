"""Real workers start what is urgent first, everything in the end, and no more than allowed."""

from itertools import count
from signal import SIGKILL

import pytest
from celery import group
from django.db.models import DurationField, ExpressionWrapper, F

from ledger import relay
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.tasks import effect, limited
from tests.harness.fixtures import StartWorker, WaitUntil

pytestmark = pytest.mark.chaos

LIMIT_PER_SECOND = 10  # of `limited`


def unended() -> int:
    return TaskRun.objects.active().count()


def ended(result: object) -> bool:
    return TaskRun.objects.finished().filter(pk=result.id).exists()  # type: ignore[attr-defined]  # any result has an id


def most_starts_in_a_second() -> int:
    """Return the largest number of starts of `limited` in any second.

    By the database's clock, as the limit itself; a start is noted a moment before its slot
    is taken, hence the tolerance.
    """
    runs = TaskRun.objects.filter(name=limited.name).order_by("started_at")
    starts = [at.timestamp() for at in runs.values_list("started_at", flat=True) if at]
    return max(
        sum(start <= later < start + 0.95 for later in starts) for start in starts
    )


def test_urgent_runs_overtake_a_backlog_of_low_priority(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker(WORKER_CONCURRENCY="fast=2")
    group(effect.s(f"low {n}", 0.05).set(priority=9) for n in range(200))()
    wait_until(lambda: TaskRun.objects.finished().count() > 20)

    urgent = [effect.delay(f"urgent {n}") for n in range(10)]
    wait_until(lambda: all(map(ended, urgent)))

    assert unended() > 80  # of the backlog
    wait_until(lambda: unended() == 0, timeout=90)


def test_backlog_of_low_priority_keeps_the_workers_busy(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker(WORKER_CONCURRENCY="fast=2")
    for priority in (0, 9):
        group(effect.s(f"{priority}", 0).set(priority=priority) for _ in range(400))()
        wait_until(lambda: unended() == 0, timeout=90)

    def seconds(priority: int) -> float:
        runs = TaskRun.objects.filter(priority=priority)
        first = runs.earliest("started_at").started_at
        last = runs.latest("ended_at").ended_at
        assert first and last
        return (last - first).total_seconds()

    assert seconds(9) < 6 * seconds(0) + 5, (seconds(0), seconds(9))


def test_single_run_of_low_priority_starts_at_once_in_an_idle_queue(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker()
    for number in range(5):
        effect.apply_async((f"low {number}",), priority=9)
        wait_until(lambda: unended() == 0)

    waited = ExpressionWrapper(F("started_at") - F("created_at"), DurationField())
    fastest = min(TaskRun.objects.values_list(waited, flat=True))
    assert fastest.total_seconds() < relay.POLL_SECONDS


def test_run_of_low_priority_ends_under_a_flood_of_urgent_ones(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    numbers = count()

    def flood() -> None:
        for _ in range(100 - unended()):
            effect.delay(f"urgent {next(numbers)}", 0.01)

    flood()
    low = effect.apply_async(("low",), priority=9)
    durable_worker(WORKER_CONCURRENCY="fast=2", LEDGER_AGEING_SECONDS="0.5")

    def low_ended() -> bool:
        flood()
        return ended(low)

    wait_until(low_ended, timeout=60)
    run = TaskRun.objects.get(pk=low.id)
    assert run.state == State.SUCCEEDED
    assert run.started_at
    assert (run.started_at - run.created_at).total_seconds() > 9 * 0.5
    assert unended() > 0
    wait_until(lambda: unended() == 0)


@pytest.mark.parametrize("all_at_once", [False, True], ids=["let go", "rung at once"])
def test_two_workers_with_four_processes_keep_one_limit(
    durable_worker: StartWorker, wait_until: WaitUntil, all_at_once: bool
) -> None:
    group(limited.s(str(n)) for n in range(50))()
    if all_at_once:
        relay._ring(relay._take("lane > ''", order="id"))
    for _ in range(2):
        durable_worker(ready=False, WORKER_CONCURRENCY="fast=2")

    wait_until(lambda: unended() == 0, timeout=60)

    assert most_starts_in_a_second() <= LIMIT_PER_SECOND + 1
    runs = TaskRun.objects.all()
    assert set(runs.values_list("state", "attempts")) == {(State.SUCCEEDED, 1)}
    assert len(set(runs.values_list("worker", flat=True))) == 2
    used = runs.latest("started_at").started_at, runs.earliest("started_at").started_at
    assert used[0] and used[1]
    assert (used[0] - used[1]).total_seconds() < 3 * 50 / LIMIT_PER_SECOND


def test_limit_holds_while_workers_are_killed_and_everything_ends(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    group(limited.s(str(n)) for n in range(50))()
    group(effect.s(f"low {n}", 0.02).set(priority=5) for n in range(50))()
    workers = [durable_worker(WORKER_CONCURRENCY="fast=2") for _ in range(2)]
    for done in (20, 50):
        wait_until(lambda: TaskRun.objects.finished().count() > done, timeout=60)
        workers.pop(0).signal_all(SIGKILL)
        workers.append(durable_worker(ready=False, WORKER_CONCURRENCY="fast=2"))

    wait_until(lambda: unended() == 0, timeout=60)

    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.SUCCEEDED}
    assert most_starts_in_a_second() <= LIMIT_PER_SECOND + 1
