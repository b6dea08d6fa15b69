"""`make soak`: thousands of mixed tasks while everything breaks at random.

The seed decides on jobs and faults; when they meet is up to the machine. In the end every
row has ended once, atomic effects are as many as their rows, and no chord is missing or
doubled. That no row moves after its end is seen to by a trigger in the database.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from urllib.parse import urlsplit

import pytest

from ledger.models import TaskRun
from tests.chaos.conftest import LEASE
from tests.chaos.soak_faults import WORKERS, Service
from tests.chaos.soak_jobs import Jobs
from tests.harness.broker import publishing_to, through
from tests.harness.fixtures import StartWorker
from tests.harness.own_broker import own_broker
from tests.harness.own_postgres import OwnPostgres
from tests.harness.processes import Worker
from tests.harness.proxy import HOST, Proxy
from tests.harness.runs import all_ended

pytestmark = pytest.mark.soak

SEED = int(os.environ.get("SOAK_SEED") or 1)
TASKS = int(os.environ.get("SOAK_TASKS") or 5000)
ON_SQLITE = os.environ.get("SOAK_DATABASE") == "sqlite"

JOBS_PER_STEP = 10
MOST_ACTIVE = 300
SECONDS_BETWEEN_FAULTS = (2.0, 6.0)
DRAIN_SECONDS = 300

SETTINGS = {
    "WORKER_CONCURRENCY": "fast=2",
    "WORKER_SHUTDOWN_GRACE": "fast=4",
    # Healthy runs are hit at random; so many times in a row would be no accident.
    "LEDGER_MAX_CRASHES": "6",
    "LOG_LEVEL": "WARNING",
}


@pytest.fixture
def database(request: pytest.FixtureRequest) -> OwnPostgres | None:
    """A PostgreSQL of the soak's own; SQLite if that is asked for."""
    if ON_SQLITE:
        return None
    server: OwnPostgres = request.getfixturevalue("postgres")
    return server


@pytest.fixture
def service(
    database: OwnPostgres | None, durable_worker: StartWorker
) -> Iterator[Service]:
    """Workers that reach their broker through a proxy."""
    with own_broker() as broker:
        with Proxy(HOST, urlsplit(broker.url).port or 0) as proxy:
            address = through(proxy, broker.url)

            def start_worker() -> Worker:
                return durable_worker(ready=False, broker_url=address, **SETTINGS)

            with publishing_to(address):
                yield Service(
                    start_worker, broker, proxy, database, Random(SEED), LEASE
                )


def test_everything_ends_once_while_everything_breaks(service: Service) -> None:
    jobs = Jobs(Random(SEED))
    started = time.monotonic()
    next_fault = started + WORKERS * 2

    def say(what: str) -> None:
        seconds = time.monotonic() - started
        active = TaskRun.objects.active().count()
        print(f"{seconds:4.0f} s  {jobs.rows:5} enqueued  {active:4} active  {what}")

    print(f"\nseed {SEED}, {TASKS} tasks, {WORKERS} workers")
    while jobs.rows < TASKS:
        service.supervise()
        if TaskRun.objects.active().count() < MOST_ACTIVE:
            jobs.enqueue(JOBS_PER_STEP)
        else:
            time.sleep(0.1)
        if time.monotonic() > next_fault:
            say(service.break_something())
            next_fault = time.monotonic() + service.random.uniform(
                *SECONDS_BETWEEN_FAULTS
            )
    say("all enqueued, no more faults")
    service.repair_all()
    deadline = time.monotonic() + DRAIN_SECONDS
    while not all_ended() and time.monotonic() < deadline:
        service.supervise()
        time.sleep(0.1)

    say("done")
    print(_summary(service, jobs))
    assert jobs.violations() == []


def _summary(service: Service, jobs: Jobs) -> str:
    states = Counter(TaskRun.objects.values_list("state", flat=True))
    tables = {"Jobs": jobs.kinds, "Faults": service.faults, "Rows": states}
    lines = [f"seed {SEED}"]
    for title, counts in tables.items():
        lines.append(title)
        lines += [f"  {name:24} {count:6}" for name, count in sorted(counts.items())]
    again = TaskRun.objects.filter(attempts__gt=1).count()
    lines.append(f"started more than once: {again} rows (retries included)")
    return "\n".join(lines)
