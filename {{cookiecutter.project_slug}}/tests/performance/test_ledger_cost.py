"""What the ledger costs beside bare Celery with results in Redis, side by side in one run."""

import os
import time
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from statistics import median, quantiles
from typing import Any

import pytest
from celery import group
from django.db import connection

from ledger.models import TaskRun
from tests.harness.broker import publishing_to, unfinished
from tests.harness.effects.tasks import echo, plain_echo
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.processes import Worker
from tools.dev.broker import Broker

pytestmark = pytest.mark.performance

TASKS = 1000
ROUNDS = 5
ROUND_TRIPS = 200
IDLE_SECONDS = 10
# As in production, and with Celery's own default of messages that a process has ahead; a
# process that is replaced in the middle of a round would be measured with it.
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "tests.harness.durable_settings",
    "DEBUG": "false",
    "LOG_LEVEL": "WARNING",
    "WORKER_CONCURRENCY": "io=2,fast=2",
    "CELERY_WORKER_PREFETCH_MULTIPLIER": "4",
    "CELERY_WORKER_MAX_TASKS_PER_CHILD": "1000000",
}


class Side:
    """One of the two systems: how to enqueue, and how to see that all is done."""

    def __init__(self, task: Any, worker: Worker, queue: str, broker: Broker) -> None:
        self.task = task
        self.worker = worker
        self.queue = queue
        self._broker = broker
        self.enqueued: list[float] = []
        self.grouped: list[float] = []
        self.drained: list[float] = []

    def is_done(self) -> bool:
        """Return whether all is acknowledged, which both do when a task has ended."""
        return unfinished(self._broker.url, self.queue) == 0

    def round(self, wait_until: WaitUntil) -> None:
        """Enqueue one by one and as a group, then let the worker drain both."""
        self.worker.signal_all(SIGSTOP)
        started = time.perf_counter()
        for number in range(TASKS):
            self.task.apply_async((number,), queue=self.queue)
        self.enqueued.append(TASKS / (time.perf_counter() - started))
        members = (self.task.s(n).set(queue=self.queue) for n in range(TASKS))
        canvas = group(members)
        started = time.perf_counter()
        canvas.apply_async()
        self.grouped.append(TASKS / (time.perf_counter() - started))
        started = time.perf_counter()
        self.worker.signal_all(SIGCONT)
        wait_until(self.is_done, timeout=120)
        self.drained.append(2 * TASKS / (time.perf_counter() - started))

    def round_trips(self) -> list[float]:
        """Return the milliseconds from the call to its result, one after another."""
        trips = []
        for number in range(ROUND_TRIPS):
            started = time.perf_counter()
            self.task.apply_async((number,), queue=self.queue).get(timeout=30)
            trips.append((time.perf_counter() - started) * 1000)
        return trips


def idle_share(process: int, seconds: float) -> float:
    """Return which share of a core a process uses in so many seconds."""

    def used() -> float:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])  # user and system time
        return ticks / os.sysconf("SC_CLK_TCK")

    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds


def test_cost_beside_bare_celery(
    broker: Broker,
    broker_server: Broker,
    worker: StartWorker,
    wait_until: WaitUntil,
) -> None:
    results = f"{broker_server.url}/1"
    bare_worker = worker("io", ready=False, CELERY_RESULT_BACKEND=results, **SETTINGS)
    ledger_worker = worker("fast", ready=False, **SETTINGS)
    bare = Side(plain_echo, bare_worker, "io", broker)
    ledger = Side(echo, ledger_worker, "fast", broker)
    warm = [bare.task.apply_async((0,), queue="io"), ledger.task.delay(0)]
    wait_until(lambda: bare.is_done() and ledger.is_done(), timeout=60)
    assert warm

    for _ in range(ROUNDS + 1):
        with publishing_to(broker.url, results=results):
            bare.round(wait_until)
        ledger.round(wait_until)
    assert not TaskRun.objects.active().exists()

    with publishing_to(broker.url, results=results):
        trips = {"bare": bare.round_trips()}
    trips["ledger"] = ledger.round_trips()

    print(f"\n{connection.vendor}, medians of {ROUNDS}:")
    for name, side in (("bare", bare), ("ledger", ledger)):
        share = idle_share(side.worker.pid, IDLE_SECONDS)
        p50, p95 = (quantiles(trips[name], n=20)[n] for n in (9, 18))
        print(
            f"\n{name}: round trip {p50:.1f} ms (p95 {p95:.1f} ms),"
            f" idle main process {share:.1%} of a core"
        )
    for what in ("enqueued", "grouped", "drained"):
        without, with_ledger = (median(getattr(s, what)[1:]) for s in (bare, ledger))
        print(
            f"\n{what}: bare {without:.0f}/s, ledger {with_ledger:.0f}/s,"
            f" ratio {with_ledger / without:.2f}"
        )
