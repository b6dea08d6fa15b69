"""An import on its whole way: API or command, broker, workers, summary."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from app.models import Report
from app.services import imports
from app.workflows.data_pipeline import orchestrator
from tests import reports
from tests.factories.imports import ReportFactory
from tests.harness.fixtures import StartWorker, WaitUntil

pytestmark = pytest.mark.integration

State = Report.State


def ended(report: Report) -> Callable[[], bool]:
    def import_has_ended() -> bool:
        report.refresh_from_db()
        return report.state in (State.DONE, State.FAILED)

    return import_has_ended


def test_report_sent_to_the_api_is_imported_in_parallel_chunks(
    api: Client, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("cpu", "fast", WORKER_CONCURRENCY="cpu=2,fast=2")
    content = reports.report(*reports.passing(1200)).getvalue()
    upload = SimpleUploadedFile("junit.xml", content)

    location = api.post("/api/reports", {"report": upload}).headers["Location"]

    wait_until(ended(Report.objects.get()))
    shown = api.get(location).json()
    assert shown["progress"] == {"done": 3, "total": 3}
    assert (shown["summary"]["cases"], shown["summary"]["passed"]) == (1200, 1200)


def test_command_imports_the_report_of_every_tool_and_ends_with_the_counts(
    worker: StartWorker, capfd: pytest.CaptureFixture[str]
) -> None:
    worker("cpu", "fast")

    last_lines = []
    for path in sorted(reports.FOLDER.glob("*.xml")):
        call_command("import_report", str(path), timeout=60)
        last_lines.append(capfd.readouterr().out.splitlines()[-1])

    counts = r"imported \d cases: \d passed, \d failed, \d errored, \d skipped"
    assert len(last_lines) == 7
    assert all(re.fullmatch(rf"{counts} in \d+\.\d s", line) for line in last_lines)


def test_truncated_report_fails_with_the_place_where_it_ends(
    worker: StartWorker, tmp_path: Path
) -> None:
    worker("cpu", "fast")
    path = tmp_path / "junit.xml"
    path.write_bytes(b"<testsuite>\n<testcase name='a'/>\n")

    with pytest.raises(
        CommandError, match="not imported: the XML ends too early: .* 3"
    ):
        call_command("import_report", str(path), timeout=60)


def test_failed_chunk_is_named_and_the_others_are_loaded(
    worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("cpu", "fast")
    content = reports.report(*reports.passing(6)).getvalue()
    report = ReportFactory.create(content=content, chunk_size=2)
    imports.extract(report.pk)
    report.chunks.filter(number=2).update(cases=["spoilt"])

    orchestrator.start(report.pk)

    wait_until(lambda: report.chunks.loaded().count() == 2)
    wait_until(ended(report))
    wait_until(lambda: Report.objects.get().error.startswith("chunk 2: TypeError"))
    assert report.state == State.FAILED


def test_import_that_is_started_in_the_middle_does_the_rest(
    worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("cpu", "fast")
    content = reports.report(*reports.passing(6)).getvalue()
    report = ReportFactory.create(content=content, chunk_size=2)
    imports.begin(report.pk)
    imports.extract(report.pk)
    imports.validate(report.pk, 1)

    orchestrator.start(report.pk)

    wait_until(ended(report))
    assert (report.state, report.results.count()) == (State.DONE, 6)
