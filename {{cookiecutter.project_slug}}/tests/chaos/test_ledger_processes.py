"""Processes die or stand still, and every run ends once all the same."""

import os
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
from celery.exceptions import WorkerLostError
from django.db import connection

from ledger.models import TaskRun
from ledger.states import State
from ledger.task import DurableTask
from tests.chaos.conftest import LEASE
from tests.harness.broker import command
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import (
    atomic_effect,
    atomic_progressing,
    begin_then_work,
    cleans_up_after_a_query,
    deaf,
    effect,
    kill_own_process,
    kill_own_worker,
    progressing,
)
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.runs import all_ended, effects, ended, holder_of, run_of, seen

pytestmark = pytest.mark.chaos


# The pool looks for dead processes every five seconds, and gives up a task two later.
POOL_NOTICES_SECONDS = 15

# Without tasks, a worker stops in one or two seconds.
STOP_SECONDS = 30


def test_worker_killed_mid_task_is_rerun_within_the_lease(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    workers = [durable_worker(WORKER_CONCURRENCY="fast=1") for _ in range(2)]
    result = begin_then_work.delay("job", 2)
    wait_until(seen("job begun"))

    holder_of(result, workers).kill()

    wait_until(seen("job begun", 2), timeout=2 * LEASE + 2)
    wait_until(ended(result))
    assert (effects("job begun"), effects("job done")) == (2, 1)


def test_worker_whose_main_loop_fails_says_so_by_its_exit_status(
    durable_worker: StartWorker,
) -> None:
    worker = durable_worker()

    command("break_down")

    assert worker.wait(STOP_SECONDS) not in (None, 0), worker.tail()


def test_all_workers_killed_then_started_run_everything_once(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    workers = [durable_worker(WORKER_CONCURRENCY="fast=2") for _ in range(2)]
    keys = [f"job {number}" for number in range(60)]
    for key in keys:
        atomic_effect.delay(key, 0.1)
    wait_until(lambda: Effect.objects.count() > 5)

    for worker in workers:
        worker.kill()
    durable_worker(WORKER_CONCURRENCY="fast=4")

    wait_until(all_ended, timeout=60)
    assert sorted(Effect.objects.values_list("key", flat=True)) == sorted(keys)


def test_killed_pool_process_frees_its_run_at_once(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    long_lease = "60"
    durable_worker(LEDGER_LEASE_SECONDS=long_lease)
    result = begin_then_work.delay("job", 1)
    wait_until(seen("job begun"))

    os.kill(Effect.objects.get(key="job begun").pid, SIGKILL)

    wait_until(seen("job begun", 2), timeout=POOL_NOTICES_SECONDS)
    wait_until(ended(result))
    assert run_of(result).attempts == 2


def test_task_that_kills_its_process_is_dead_after_three_starts(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker(WORKER_CONCURRENCY="fast=2")
    poison = kill_own_process.delay()
    neighbours = [effect.delay(f"neighbour {number}", 0.05) for number in range(50)]

    wait_until(ended(poison), timeout=40)
    wait_until(lambda: all(ended(result)() for result in neighbours), timeout=40)

    assert (run_of(poison).state, effects("poison")) == (State.DEAD, 3)
    with pytest.raises(WorkerLostError, match="started 3 times"):
        poison.get(timeout=5)
    states = TaskRun.objects.filter(name=effect.name).values_list("state", flat=True)
    assert set(states) == {State.SUCCEEDED}


def test_task_that_kills_its_worker_is_dead_and_its_neighbours_are_not(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    poison = kill_own_worker.delay(beside=2)
    # As many as there are processes: together again each time, if nothing parts them.
    neighbours = [effect.delay(f"neighbour {number}", 3) for number in range(2)]
    workers = [durable_worker(ready=False, WORKER_CONCURRENCY="fast=3")]

    def poison_ended() -> bool:
        if workers[-1].returncode is not None:  # as a supervisor does
            workers.append(durable_worker(ready=False, WORKER_CONCURRENCY="fast=3"))
        return ended(poison)()

    wait_until(poison_ended, timeout=90)
    if workers[-1].returncode is not None:
        durable_worker()
    wait_until(lambda: all(ended(result)() for result in neighbours), timeout=60)

    assert run_of(poison).state == State.DEAD
    unlucky = TaskRun.objects.filter(name=effect.name).exclude(state=State.SUCCEEDED)
    starts = [(run.started_at, run.worker) for run in (*unlucky, run_of(poison))]
    assert not unlucky.exists(), starts


@pytest.mark.parametrize(
    ("task", "expected"), [(effect, 2), (atomic_effect, 1)], ids=["plain", "atomic"]
)
def test_worker_stopped_past_its_lease_comes_back_too_late(
    durable_worker: StartWorker,
    wait_until: WaitUntil,
    task: DurableTask[[str, float], str],
    expected: int,
) -> None:
    if task is atomic_effect and connection.vendor == "sqlite":
        pytest.skip("the stopped process would hold SQLite's only write lock")
    workers = [durable_worker(WORKER_CONCURRENCY="fast=1") for _ in range(2)]
    result = task.delay("job", LEASE + 2)
    wait_until(lambda: run_of(result).state == State.RUNNING)
    stopped = holder_of(result, workers)

    stopped.signal_all(SIGSTOP)
    wait_until(lambda: run_of(result).attempts == 2, timeout=20)
    stopped.signal_all(SIGCONT)  # it ends first, and its end is not accepted

    stopped.wait_for_line("refused", timeout=20)
    assert run_of(result).state == State.RUNNING
    wait_until(ended(result))
    assert (run_of(result).state, run_of(result).attempts) == (State.SUCCEEDED, 2)
    assert effects("job") == expected


def test_long_task_runs_once_beyond_many_leases(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker()
    durable_worker()

    result = begin_then_work.delay("long", 3 * LEASE)

    wait_until(ended(result), timeout=30)
    assert (effects("long begun"), run_of(result).attempts) == (1, 1)


def test_hard_limit_fails_the_run_and_soft_limit_raises(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker()

    hard = deaf.apply_async((60,), soft_time_limit=1, time_limit=2)
    soft = effect.apply_async(("soft", 60), soft_time_limit=1, time_limit=20)

    wait_until(ended(hard), timeout=20)
    wait_until(ended(soft), timeout=20)
    assert "TimeLimitExceeded" in run_of(hard).reason
    assert "SoftTimeLimitExceeded" in run_of(soft).reason


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite's queries run in the process itself"
)
def test_soft_limit_ends_the_query_under_way_and_the_task_can_clean_up(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker()

    result = cleans_up_after_a_query.apply_async(
        (60,), soft_time_limit=1, time_limit=20
    )

    wait_until(ended(result), timeout=20)
    run = run_of(result)
    assert (run.state, run.attempts) == (State.FAILED, 1)
    assert "SoftTimeLimitExceeded" in run.reason
    assert effects("cleaned up") == 1


@pytest.mark.parametrize("task", [progressing, atomic_progressing])
def test_progress_is_seen_while_the_task_runs(
    durable_worker: StartWorker, wait_until: WaitUntil, task: object
) -> None:
    if task is atomic_progressing and connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer: progress waits for the commit")
    durable_worker()

    result = task.delay(3)  # type: ignore[attr-defined]  # either task

    wait_until(lambda: result.state == "PROGRESS", timeout=10)
    assert result.info == {"done": 3}
    assert result.get(timeout=20) == "done"
