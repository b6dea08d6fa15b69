"""Workers are told to stop: they do so in time, and their runs are not to blame."""

from collections.abc import Callable
from functools import partial
from signal import SIGQUIT

import pytest

from ledger.models import TaskRun
from ledger.states import State
from tests.harness.broker import through
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import (
    atomic_effect,
    begin_then_work,
    plain_begin_then_work,
)
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.processes import Worker
from tests.harness.proxy import Proxy
from tests.harness.runs import all_ended, effects, ended, holder_of, run_of, seen
from tools.dev.broker import Broker

pytestmark = pytest.mark.chaos

# Seconds until a supervisor would kill; what still runs is ended after half of a short one.
GRACE = 4

# We promise five for the time after that; the rest is patience with busy machines. It is
# far less than the lease, which is what it would take otherwise.
ELSEWHERE_SECONDS = 15

DEPLOYED = {
    "WORKER_SHUTDOWN_GRACE": f"fast={GRACE}",
    "WORKER_CONCURRENCY": "fast=1",
    "LEDGER_LEASE_SECONDS": "60",
}

PATIENCE_SECONDS = 5

# Longer than any test waits.
FOR_EVER = 60


@pytest.fixture
def deployed_worker(durable_worker: StartWorker) -> StartWorker:
    """Start a worker that is killed soon after it was asked to stop."""
    return partial(durable_worker, ready=True, **DEPLOYED)


def stopped_in_time(worker: Worker) -> bool:
    """Stop a worker as a deploy does; it must not need to be killed."""
    worker.ask_to_stop()
    return worker.wait(GRACE + PATIENCE_SECONDS) is not None


def test_worker_told_to_stop_finishes_what_it_runs(
    deployed_worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker = deployed_worker()
    result = begin_then_work.delay("job", 1)
    wait_until(seen("job begun"))

    assert stopped_in_time(worker)

    assert (run_of(result).state, run_of(result).attempts) == (State.SUCCEEDED, 1)
    assert worker.returncode == 0


def test_task_longer_than_the_grace_goes_on_elsewhere_at_once(
    deployed_worker: StartWorker, wait_until: WaitUntil
) -> None:
    workers = [deployed_worker() for _ in range(2)]
    result = begin_then_work.delay("job", FOR_EVER)
    wait_until(seen("job begun"))

    assert stopped_in_time(holder_of(result, workers))

    wait_until(seen("job begun", 2), timeout=ELSEWHERE_SECONDS)
    assert (run_of(result).attempts, run_of(result).crashes) == (2, 1)


def test_plain_task_longer_than_the_grace_goes_on_elsewhere_at_once(
    deployed_worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker = deployed_worker()
    plain_begin_then_work.delay("job", FOR_EVER)
    wait_until(seen("job begun"))
    deployed_worker()

    assert stopped_in_time(worker)

    wait_until(seen("job begun", 2), timeout=ELSEWHERE_SECONDS)


def test_task_of_a_worker_that_is_told_to_hurry_goes_on_elsewhere_at_once(
    deployed_worker: StartWorker, wait_until: WaitUntil
) -> None:
    workers = [deployed_worker() for _ in range(2)]
    result = begin_then_work.delay("job", FOR_EVER)
    wait_until(seen("job begun"))

    holder_of(result, workers).signal(SIGQUIT)  # a cold shutdown

    wait_until(seen("job begun", 2), timeout=ELSEWHERE_SECONDS)
    assert (run_of(result).attempts, run_of(result).crashes) == (2, 1)


def test_task_that_meets_a_deploy_on_every_attempt_is_not_dead(
    deployed_worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker = deployed_worker()
    result = begin_then_work.delay("job", FOR_EVER)
    wait_until(seen("job begun"))

    for deploy in range(4):
        successor = deployed_worker()
        assert stopped_in_time(worker)
        wait_until(seen("job begun", deploy + 2), timeout=ELSEWHERE_SECONDS)
        worker = successor

    assert (run_of(result).state, run_of(result).crashes) == (State.RUNNING, 1)


def test_worker_whose_broker_is_silent_stops_in_time(
    deployed_worker: StartWorker, proxy: Proxy, broker: Broker, wait_until: WaitUntil
) -> None:
    worker = deployed_worker(broker_url=through(proxy, broker.url))
    result = begin_then_work.delay("job", FOR_EVER)
    wait_until(seen("job begun"))
    deployed_worker()

    proxy.black_hole()

    assert stopped_in_time(worker)
    wait_until(seen("job begun", 2), timeout=ELSEWHERE_SECONDS)
    assert run_of(result).crashes == 1


def one_after_another(workers: list[Worker], start: Callable[[], Worker]) -> None:
    for worker in workers:
        start().wait_until_ready()
        assert stopped_in_time(worker)


def all_at_once(workers: list[Worker], start: Callable[[], Worker]) -> None:
    for worker in workers:
        worker.ask_to_stop()
    assert all(stopped_in_time(worker) for worker in workers)
    for _ in workers:
        start()


@pytest.mark.parametrize("restart", [one_after_another, all_at_once])
def test_workers_restarted_under_load_lose_nothing(
    deployed_worker: StartWorker,
    wait_until: WaitUntil,
    restart: Callable[[list[Worker], Callable[[], Worker]], None],
) -> None:
    def start() -> Worker:
        return deployed_worker(ready=False, WORKER_CONCURRENCY="fast=2")

    workers = [start() for _ in range(2)]
    long = begin_then_work.delay("long", 3)
    keys = [f"job {number}" for number in range(300)]
    for key in keys:
        atomic_effect.delay(key, 0.05)
    wait_until(seen("long begun"))

    restart(workers, start)

    wait_until(all_ended, timeout=90)
    assert effects("long done") == 1
    done = Effect.objects.filter(key__startswith="job ").values_list("key", flat=True)
    assert sorted(done) == sorted(keys)
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.SUCCEEDED}
    assert ended(long)()
