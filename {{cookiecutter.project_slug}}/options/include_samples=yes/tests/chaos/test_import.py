"""An import whose processes are killed still ends right: every case once."""

import os
from contextlib import suppress
from functools import partial
from signal import SIGKILL
from typing import Any

import pytest

from app.models import Report
from app.services import imports
from app.workflows.data_pipeline import orchestrator
from config.celery import app
from tests import reports
from tests.factories.imports import ReportFactory
from tests.harness.fixtures import StartWorker, WaitUntil

pytestmark = pytest.mark.chaos

CASES = 2000
CHUNK_SIZE = 20
KILLS = 3

# Short enough to wait for.
LEASE: dict[str, Any] = {"LEDGER_LEASE_SECONDS": "3", "LEDGER_HEARTBEAT_SECONDS": "1"}


def pool_processes() -> set[int]:
    """Return the ids of the pool processes of all workers."""
    stats = app.control.inspect().stats() or {}
    return {
        process for worker in stats.values() for process in worker["pool"]["processes"]
    }


@pytest.fixture
def report(transactional_db: None) -> Report:
    """A report that takes some seconds to import."""
    content = reports.report(*reports.passing(CASES)).getvalue()
    return ReportFactory.create(content=content, chunk_size=CHUNK_SIZE)


def every_case_is_imported_once(report: Report) -> bool:
    report.refresh_from_db()
    if report.state != Report.State.DONE:
        return False
    positions = report.results.order_by("position").values_list("position", flat=True)
    assert list(positions) == list(range(1, CASES + 1))
    assert imports.progress(report).chunks_done == CASES // CHUNK_SIZE
    return True


def test_import_whose_pool_processes_are_killed_loads_every_case_once(
    report: Report, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("cpu", "fast", WORKER_CONCURRENCY="cpu=2,fast=2")
    killed: set[int] = set()

    def one_more_is_killed() -> bool:
        for process in pool_processes() - killed:
            killed.add(process)
            with suppress(ProcessLookupError):  # replaced since it was listed
                os.kill(process, SIGKILL)
                return True
        return False

    orchestrator.start(report.pk)
    wait_until(lambda: report.chunks.loaded().exists())
    for _ in range(KILLS):
        wait_until(one_more_is_killed)

    wait_until(partial(every_case_is_imported_once, report), timeout=90)


def test_import_whose_worker_is_killed_goes_on_with_the_next_one(
    report: Report, worker: StartWorker, wait_until: WaitUntil
) -> None:
    start = partial(worker, "cpu", "fast", WORKER_CONCURRENCY="cpu=2,fast=2", **LEASE)
    victim = start()
    orchestrator.start(report.pk)
    wait_until(lambda: report.chunks.loaded().exists())

    victim.kill()
    start()

    wait_until(partial(every_case_is_imported_once, report), timeout=90)
