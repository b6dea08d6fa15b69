"""Several relays at work: each run is rung for once, even if one of them dies."""

from collections.abc import Callable
from functools import partial

import pytest
from celery import group
from django.db import connection

from ledger import sql
from ledger.models import TaskRun
from ledger.states import State
from tests.chaos.conftest import IMPATIENT
from tests.harness.broker import flush, waiting
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import atomic_effect, begin_then_work
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.legal_moves import enforced
from tests.harness.services import Service, StartService, service
from tools.dev.broker import Broker

__all__ = ["service"]

pytestmark = pytest.mark.chaos

RUNS = 1000

StartRelay = Callable[[], Service]


@pytest.fixture
def relay(service: StartService) -> StartRelay:
    """Start a relay whose patience with lost messages exceeds the test."""
    return partial(service, "relay", **{**IMPATIENT, "LEDGER_LOST_SECONDS": "600"})


def keys() -> list[str]:
    return [f"job {number:04}" for number in range(RUNS)]


def enqueue_for_later() -> None:
    """Enqueue runs that are due when `let_them_be_due` says so."""
    group(atomic_effect.s(key) for key in keys()).apply_async(countdown=3600)


def let_them_be_due() -> None:
    sql.execute(f"UPDATE ledger_taskrun SET run_at = {sql.now()}")


def count(state: State) -> int:
    return TaskRun.objects.filter(state=state).count()


def stop(relays: list[Service]) -> None:
    """Stop relays in good order: what they have begun, they end."""
    for each in relays:
        each.ask_to_stop()
    for each in relays:
        assert each.wait(30) == 0, each.tail()


def test_three_relays_ring_once_for_each_run_that_is_due(
    relay: StartRelay, wait_until: WaitUntil, broker: Broker
) -> None:
    enqueue_for_later()
    relays = [relay() for _ in range(3)]
    for each in relays:
        each.wait_for_line("relay works", 60)

    with enforced(connection):
        let_them_be_due()
        wait_until(lambda: waiting(broker.url, "fast") >= RUNS, timeout=60)
        stop(relays)

    assert waiting(broker.url, "fast") == RUNS
    assert (count(State.QUEUED), count(State.PENDING)) == (RUNS, 0)
    assert set(TaskRun.objects.values_list("rings", flat=True)) == {0}


def test_three_relays_ring_once_for_each_run_whose_worker_died(
    durable_worker: StartWorker,
    relay: StartRelay,
    wait_until: WaitUntil,
    broker: Broker,
) -> None:
    worker = durable_worker(WORKER_CONCURRENCY="fast=4")
    for number in range(4):
        begin_then_work.delay(f"job {number}", 600)
    wait_until(lambda: Effect.objects.count() == 4)

    worker.kill()
    flush(broker.url)  # RabbitMQ would take the messages of the dead worker back
    relays = [relay() for _ in range(3)]
    for each in relays:
        each.wait_for_line("relay works", 60)

    wait_until(lambda: count(State.QUEUED) == 4, timeout=30)
    stop(relays)
    assert waiting(broker.url, "fast") == 4
    assert set(TaskRun.objects.values_list("attempts", "rings")) == {(1, 0)}


def test_relay_that_is_killed_while_it_rings_loses_nothing_and_doubles_nothing(
    durable_worker: StartWorker,
    service: StartService,
    wait_until: WaitUntil,
    broker: Broker,
) -> None:
    enqueue_for_later()
    relays = [service("relay", **IMPATIENT) for _ in range(3)]
    for each in relays:
        each.wait_for_line("relay works", 60)

    let_them_be_due()
    wait_until(lambda: waiting(broker.url, "fast") > RUNS // 10)
    relays[0].kill()

    for _ in range(2):
        durable_worker(ready=False, WORKER_CONCURRENCY="fast=2")
    wait_until(lambda: not TaskRun.objects.active().exists(), timeout=120)
    assert sorted(Effect.objects.values_list("key", flat=True)) == keys()
    assert set(TaskRun.objects.values_list("attempts", flat=True)) == {1}
