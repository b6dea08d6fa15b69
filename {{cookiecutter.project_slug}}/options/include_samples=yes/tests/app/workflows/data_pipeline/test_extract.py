"""The task of the first stage."""

import pytest

from app.models import ReportChunk
from app.services import imports
from app.workflows.data_pipeline.extract import extract_cases
from tests import reports
from tests.factories.imports import ReportFactory
from tests.harness.retries import locked, locked_once
from tests.helpers.tester import TaskTester


@pytest.mark.task("app.workflows.data_pipeline.extract.extract_cases", "execution")
def test_execution_reads_the_report_into_chunks(tasks: TaskTester) -> None:
    content = reports.report(*reports.passing(5)).getvalue()
    report = ReportFactory.create(content=content, chunk_size=2)

    assert tasks.run(extract_cases, report.pk).result == 3

    report.refresh_from_db()
    assert report.chunks.count() == 3
    assert report.bytes_read == report.size > 0


@pytest.mark.task("app.workflows.data_pipeline.extract.extract_cases", "idempotency")
def test_idempotency_a_run_executed_twice_extracts_once(tasks: TaskTester) -> None:
    report = ReportFactory.create()

    def chunks() -> list[tuple[int, object]]:
        return [*ReportChunk.objects.values_list("pk", "updated_at")]

    assert len(tasks.twice(extract_cases, report.pk, effects=chunks)) == 1


@pytest.mark.task("app.workflows.data_pipeline.extract.extract_cases", "failure")
def test_file_that_is_no_report_fails_at_once(tasks: TaskTester) -> None:
    report = ReportFactory.create(content=b"<html/>")

    run = tasks.run(extract_cases, report.pk)

    assert isinstance(run.error, imports.InvalidReport)
    assert run.attempts == 1


@pytest.mark.task("app.workflows.data_pipeline.extract.extract_cases", "retry")
def test_retry_follows_when_the_database_is_back(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = ReportFactory.create()
    monkeypatch.setattr(imports, "extract", locked_once(imports.extract))

    run = tasks.run(extract_cases, report.pk)

    assert (run.result, run.retry_delays) == (1, [1])


@pytest.mark.task("app.workflows.data_pipeline.extract.extract_cases", "retry")
def test_retry_waits_longer_after_every_attempt(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "extract", locked)

    assert tasks.run(extract_cases, 1).retry_delays == [1, 2, 4, 8, 16]
