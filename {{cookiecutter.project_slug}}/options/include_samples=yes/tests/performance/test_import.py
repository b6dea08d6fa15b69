"""How fast reports are read, and how fast they are imported by real workers."""

from io import BytesIO

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from app.models import Report
from app.services.imports import junit
from app.workflows.data_pipeline import orchestrator
from tests import reports
from tests.factories.imports import ReportFactory
from tests.harness.fixtures import StartWorker, WaitUntil

pytestmark = pytest.mark.performance

PARSED_CASES = 20_000
IMPORTED_CASES = 10_000
ROUNDS = 3

# Far below what any machine reaches: a run below it has a fault, not a slow processor.
LEAST_PARSED_PER_SECOND = 2_000
LEAST_IMPORTED_PER_SECOND = 100


def check_rate(benchmark: BenchmarkFixture, cases: int, least: int) -> None:
    """Add cases per second to the result, and fail if they are too few."""
    assert benchmark.stats is not None
    rate = cases / benchmark.stats.stats.median
    benchmark.extra_info["cases per second"] = round(rate)
    assert rate > least


def test_parse_rate(benchmark: BenchmarkFixture) -> None:
    content = reports.report(*reports.passing(PARSED_CASES)).getvalue()

    def parse() -> int:
        return sum(1 for _ in junit.read_cases(BytesIO(content)))

    parsed = benchmark.pedantic(parse, rounds=ROUNDS, warmup_rounds=1)

    assert parsed == PARSED_CASES
    check_rate(benchmark, PARSED_CASES, LEAST_PARSED_PER_SECOND)


def test_import_rate(
    benchmark: BenchmarkFixture, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("cpu", "fast", WORKER_CONCURRENCY="cpu=2,fast=2")
    content = reports.report(*reports.passing(IMPORTED_CASES)).getvalue()

    def import_one() -> None:
        report = ReportFactory.create(content=content)

        def done() -> bool:
            report.refresh_from_db()
            return report.state == Report.State.DONE

        orchestrator.start(report.pk)
        wait_until(done, timeout=IMPORTED_CASES / LEAST_IMPORTED_PER_SECOND)

    benchmark.pedantic(import_one, rounds=ROUNDS, warmup_rounds=1)

    check_rate(benchmark, IMPORTED_CASES, LEAST_IMPORTED_PER_SECOND)
