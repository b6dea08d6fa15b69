"""An import whose processes are killed still ends right: every case once."""

import os
from contextlib import suppress
from signal import SIGKILL

import pytest

from app.models import Report
from app.services import imports
from app.workflows.data_pipeline import orchestrator
from config.celery import app
from tests import reports
from tests.factories.imports import ReportFactory
from tests.harness.broker import unfinished
from tests.harness.fixtures import StartWorker, WaitUntil
from tools.dev.broker import Broker

pytestmark = pytest.mark.chaos

CASES = 2000
CHUNK_SIZE = 20
KILLS = 3


def pool_processes() -> set[int]:
    """Return the ids of the pool processes of all workers."""
    stats = app.control.inspect().stats() or {}
    return {
        process for worker in stats.values() for process in worker["pool"]["processes"]
    }


def test_import_whose_pool_processes_are_killed_loads_every_case_once(
    broker: Broker, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("cpu", "fast", WORKER_CONCURRENCY="cpu=2,fast=2")
    content = reports.report(*reports.passing(CASES)).getvalue()
    report = ReportFactory.create(content=content, chunk_size=CHUNK_SIZE)
    killed: set[int] = set()

    def one_more_is_killed() -> bool:
        for process in pool_processes() - killed:
            killed.add(process)
            with suppress(ProcessLookupError):  # replaced since it was listed
                os.kill(process, SIGKILL)
                return True
        return False

    def done() -> bool:
        report.refresh_from_db()
        return report.state == Report.State.DONE

    def nothing_is_left_to_do() -> bool:
        return not any(unfinished(broker.url, queue) for queue in ("cpu", "fast"))

    orchestrator.start(report.pk)
    wait_until(lambda: report.chunks.loaded().exists())
    for _ in range(KILLS):
        wait_until(one_more_is_killed)
    wait_until(lambda: done() or nothing_is_left_to_do(), timeout=60)
    # A process that dies after it stored a result and before it counted it leaves a chord
    # that waits for ever; what restarts it is the hourly task.
    for stalled in imports.stalled(older_than_seconds=0):
        orchestrator.start(stalled)

    wait_until(done, timeout=60)
    positions = report.results.order_by("position").values_list("position", flat=True)
    assert list(positions) == list(range(1, CASES + 1))
    assert imports.progress(report).chunks_done == CASES // CHUNK_SIZE


def test_import_whose_worker_is_killed_is_completed_when_it_is_found_stalled(
    worker: StartWorker, wait_until: WaitUntil
) -> None:
    victim = worker("cpu", "fast", WORKER_CONCURRENCY="cpu=2,fast=2")
    content = reports.report(*reports.passing(CASES)).getvalue()
    report = ReportFactory.create(content=content, chunk_size=CHUNK_SIZE)
    orchestrator.start(report.pk)
    wait_until(lambda: report.chunks.loaded().exists())

    victim.kill()
    worker("cpu", "fast", WORKER_CONCURRENCY="cpu=2,fast=2")
    for stalled in imports.stalled(older_than_seconds=0):
        orchestrator.start(stalled)

    def done() -> bool:
        report.refresh_from_db()
        return report.state == Report.State.DONE

    wait_until(done, timeout=60)
    assert report.results.count() == CASES
