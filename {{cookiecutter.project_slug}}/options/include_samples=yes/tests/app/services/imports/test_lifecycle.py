"""Where imports stand, and how far they are."""

from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.utils import timezone

from app.models import CaseResult, Report, ReportChunk
from app.services import imports
from app.services.imports.lifecycle import MAX_ERROR_CHARACTERS, READING_SHARE
from tests.factories.imports import (
    CaseResultFactory,
    ReportChunkFactory,
    ReportFactory,
)

pytestmark = pytest.mark.django_db

State = Report.State


def aged(report: Report, seconds: int) -> Report:
    """Make the report, and all of its chunks, look untouched for so long."""
    then = timezone.now() - timedelta(seconds=seconds)
    Report.objects.filter(pk=report.pk).update(updated_at=then)
    report.chunks.update(updated_at=then)
    return report


@pytest.mark.parametrize(
    ("state", "begun"),
    [
        (State.PENDING, True),
        (State.RUNNING, True),
        (State.DONE, False),
        (State.FAILED, False),
    ],
)
def test_only_an_unfinished_report_can_begin(state: Report.State, begun: bool) -> None:
    report = ReportFactory.create(state=state)

    assert imports.begin(report.pk) is begun

    report.refresh_from_db()
    assert report.state == (State.RUNNING if begun else state)


def test_beginning_again_keeps_the_first_start() -> None:
    report = ReportFactory.create()
    imports.begin(report.pk)
    report.refresh_from_db()
    first = report.started_at

    imports.begin(report.pk)

    report.refresh_from_db()
    assert report.started_at == first is not None


def test_failed_report_keeps_the_reason_cut_to_a_readable_length() -> None:
    report = ReportFactory.create(state=State.RUNNING)

    imports.fail(report.pk, "x" * 9999)

    report.refresh_from_db()
    assert report.state == State.FAILED
    assert report.error == "x" * MAX_ERROR_CHARACTERS
    assert report.finished_at is not None


def test_done_report_never_becomes_failed() -> None:
    report = ReportFactory.create(state=State.DONE)

    imports.fail(report.pk, "late")
    imports.fail(report.pk, "late", chunk=1)

    report.refresh_from_db()
    assert (report.state, report.error) == (State.DONE, "")


@pytest.mark.parametrize("chunk_first", [True, False])
def test_reason_that_names_the_chunk_wins(chunk_first: bool) -> None:
    report = ReportFactory.create(state=State.RUNNING)
    failures: list[tuple[str, int | None]] = [("disk full", 3), ("a part failed", None)]

    for reason, chunk in failures if chunk_first else reversed(failures):
        imports.fail(report.pk, reason, chunk)

    report.refresh_from_db()
    assert report.error == "chunk 3: disk full"


def test_restart_forgets_the_failure_and_keeps_what_is_loaded() -> None:
    report = ReportFactory.create(state=State.RUNNING)
    chunk = ReportChunkFactory.create(report=report, state=ReportChunk.State.LOADED)
    imports.fail(report.pk, "disk full")

    imports.restart(report.pk)

    report.refresh_from_db()
    chunk.refresh_from_db()
    assert (report.state, report.error) == (State.PENDING, "")
    assert (report.started_at, report.finished_at) == (None, None)
    assert chunk.state == ReportChunk.State.LOADED


def test_progress_grows_from_the_upload_to_the_summary() -> None:
    report = ReportFactory.create(state=State.RUNNING)
    fractions = [imports.progress(report).fraction]
    imports.extract(report.pk)
    report.refresh_from_db()
    fractions.append(imports.progress(report).fraction)
    for stage in (imports.validate, imports.transform, imports.load):
        stage(report.pk, 1)
        fractions.append(imports.progress(report).fraction)

    assert fractions[:2] == [0.0, READING_SHARE]
    assert fractions[-1] == pytest.approx(1.0)
    assert fractions == sorted(set(fractions))


def test_progress_counts_chunks_once_the_file_has_been_read() -> None:
    report = ReportFactory.create(state=State.RUNNING)
    before = imports.progress(report)
    for number, state in enumerate(ReportChunk.State, start=1):
        ReportChunkFactory.create(report=report, number=number, state=state)
    report.total_chunks = 4

    after = imports.progress(report)

    assert (before.chunks_done, before.chunks_total) == (0, None)
    assert (after.chunks_done, after.chunks_total) == (1, 4)


def test_done_report_is_all_the_way() -> None:
    assert imports.progress(ReportFactory.create(state=State.DONE)).fraction == 1.0


def test_discarded_report_takes_its_results_and_its_file_along() -> None:
    report = ReportFactory.create()
    CaseResultFactory.create(report=report)
    path = report.upload.name or ""
    assert default_storage.exists(path)

    imports.discard(report.pk)

    assert not default_storage.exists(path)
    assert not Report.objects.exists()
    assert not CaseResult.objects.exists()
