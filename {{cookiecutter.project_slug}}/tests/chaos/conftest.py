"""The fixtures of these tests: real servers, real workers."""

from collections.abc import Iterator
from functools import partial

import pytest
from django.db import connection

from tests.harness.fixtures import (
    StartWorker,
    broker,
    broker_server,
    running,
    wait_until,
    worker,
)
from tests.harness.legal_moves import enforced

__all__ = ["broker", "broker_server", "running", "wait_until", "worker"]

# Seconds, short enough for tests that wait for them.
LEASE = 3
IMPATIENT = {
    "DJANGO_SETTINGS_MODULE": "tests.harness.durable_settings",
    "LEDGER_LEASE_SECONDS": str(LEASE),
    "LEDGER_HEARTBEAT_SECONDS": "1",
    "LEDGER_LOST_SECONDS": "1",
}


@pytest.fixture
def durable_worker(worker: StartWorker) -> Iterator[StartWorker]:
    """Start a worker of the default queue that knows the tasks of `tests.harness.effects`.

    Its lease is short, and the database refuses every move of a run that is not legal.
    """
    with enforced(connection):
        yield partial(worker, "fast", ready=True, **IMPATIENT)
