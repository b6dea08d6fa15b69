"""How many tasks per second go in and come out, on a real broker and a real worker.

The task is a real one with next to no work, so that what is measured is the machinery.
"""

from functools import partial

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from app.tasks.periodic.daily_tasks import prune_webhook_deliveries
from tests.harness.broker import unfinished
from tests.harness.fixtures import StartWorker, WaitUntil
from tools.dev.broker import Broker

pytestmark = [pytest.mark.performance, pytest.mark.django_db(transaction=True)]

QUEUE = "fast"
TASKS = 500
ROUNDS = 3

# Far below what any machine reaches: a run below it has a fault, not a slow processor.
LEAST_PER_SECOND = 20


def enqueue() -> None:
    for _ in range(TASKS):
        prune_webhook_deliveries.apply_async(queue=QUEUE)


def report(benchmark: BenchmarkFixture) -> None:
    """Add tasks per second to the result, and fail if they are too few."""
    assert benchmark.stats is not None
    rate = TASKS / benchmark.stats.stats.median
    benchmark.extra_info["tasks per second"] = round(rate)
    assert rate > LEAST_PER_SECOND


def test_enqueue_rate(benchmark: BenchmarkFixture, broker: Broker) -> None:
    benchmark.pedantic(enqueue, rounds=ROUNDS, warmup_rounds=1)

    report(benchmark)


def test_drain_rate(
    benchmark: BenchmarkFixture,
    broker: Broker,
    worker: StartWorker,
    wait_until: WaitUntil,
) -> None:
    worker(QUEUE, WORKER_CONCURRENCY=f"{QUEUE}=2")

    def drained() -> bool:
        return unfinished(broker.url, QUEUE) == 0

    def enqueue_and_drain() -> None:
        enqueue()
        wait_until(drained, timeout=TASKS / LEAST_PER_SECOND)

    benchmark.pedantic(enqueue_and_drain, rounds=ROUNDS, warmup_rounds=1)

    report(benchmark)
