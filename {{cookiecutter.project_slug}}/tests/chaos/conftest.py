"""The fixtures of these tests: real servers, real workers, and what breaks them."""

from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import pytest
from django.db import connection

from tests.harness.broker import publishing_to
from tests.harness.fixtures import (
    StartWorker,
    WaitUntil,
    broker,
    broker_server,
    rabbit_server,
    wait_until,
    worker,
)
from tests.harness.legal_moves import enforced
from tests.harness.own_broker import OwnBroker, own_broker
from tests.harness.own_postgres import OwnPostgres, database_of, own_postgres
from tests.harness.processes import Worker
from tests.harness.proxy import Proxy
from tests.helpers.kill_midway import KillMidway
from tools.dev.broker import Broker

__all__ = [
    "broker",
    "broker_server",
    "rabbit_server",
    "wait_until",
    "worker",
]

# Seconds, short enough for tests that wait for them.
LEASE = 3
SHORT_LEASE = {"LEDGER_LEASE_SECONDS": str(LEASE), "LEDGER_HEARTBEAT_SECONDS": "1"}
IMPATIENT = {
    "DJANGO_SETTINGS_MODULE": "tests.harness.durable_settings",
    **SHORT_LEASE,
    "LEDGER_LOST_SECONDS": "1",
    "REDIS_TIMEOUT_SECONDS": "2",
}


@pytest.fixture
def running(transactional_db: None) -> Iterator[list[Worker]]:
    """The workers of this test; all are killed at its end, which is quicker than asking."""
    workers: list[Worker] = []
    yield workers
    for worker in workers:
        worker.kill()


@pytest.fixture
def kill_midway(worker: StartWorker, wait_until: WaitUntil) -> KillMidway:
    """Kill the worker of a task while it executes it; another one finishes the run."""
    return KillMidway(partial(worker, ready=True, **SHORT_LEASE), wait_until)


@pytest.fixture
def durable_worker(worker: StartWorker) -> Iterator[StartWorker]:
    """Start a worker of the default queue that knows the tasks of `tests.harness.effects`.

    Its lease is short, and the database refuses every move of a run that is not legal.
    """
    with enforced(connection):
        yield partial(worker, "fast", ready=True, **IMPATIENT)


@pytest.fixture
def own(durable_worker: StartWorker) -> Iterator[OwnBroker]:
    """A broker that this test may stop; this process publishes to it."""
    with own_broker() as server, publishing_to(server.url):
        yield server


@pytest.fixture
def proxy(broker: Broker) -> Iterator[Proxy]:
    """A proxy to the broker; who shall go through it is told its address."""
    address = urlsplit(broker.url)
    with Proxy(str(address.hostname), address.port or 6379) as between:
        yield between


@pytest.fixture
def postgres(transactional_db: None) -> Iterator[OwnPostgres]:
    """A PostgreSQL that this test may crash; ask for it before `durable_worker`."""
    with own_postgres() as server, database_of(server):
        yield server
