"""The task of the first stage."""

import pytest

from app.services import imports
from app.workflows.data_pipeline.extract import extract_cases
from tests import reports
from tests.factories.imports import ReportFactory
from tests.harness.retries import delays, locked, locked_once

pytestmark = pytest.mark.django_db


def test_execution_reads_the_report_into_chunks() -> None:
    content = reports.report(*reports.passing(5)).getvalue()
    report = ReportFactory.create(content=content, chunk_size=2)

    assert extract_cases.apply(args=(report.pk,)).get() == 3
    assert report.chunks.count() == 3


def test_idempotency_a_message_delivered_twice_extracts_once() -> None:
    report = ReportFactory.create()

    extract_cases.apply(args=(report.pk,))
    extract_cases.apply(args=(report.pk,))

    assert report.chunks.count() == 1


def test_progress_counts_the_bytes_that_are_read() -> None:
    report = ReportFactory.create()

    extract_cases.apply(args=(report.pk,))

    report.refresh_from_db()
    assert report.bytes_read == report.size > 0


def test_file_that_is_no_report_fails_at_once() -> None:
    report = ReportFactory.create(content=b"<html/>")

    result = extract_cases.apply(args=(report.pk,))

    assert isinstance(result.result, imports.InvalidReport)


def test_retry_follows_when_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = ReportFactory.create()
    monkeypatch.setattr(imports, "extract", locked_once(imports.extract))

    extract_cases.apply(args=(report.pk,)).get()

    assert report.chunks.count() == 1


def test_retry_waits_longer_after_every_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "extract", locked)

    assert delays(extract_cases, 1, monkeypatch=monkeypatch) == [1, 2, 4, 8]
