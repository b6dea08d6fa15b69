"""The tasks that end an import."""

import pytest
from celery.exceptions import ChordError

from app.models import Report
from app.services import imports
from app.tasks.import_tasks import fail_report, summarise_report
from config.celery import app
from tests.factories.imports import CaseResultFactory, ReportFactory
from tests.harness.retries import delays, locked, locked_once

pytestmark = pytest.mark.django_db

State = Report.State


def loaded_report() -> Report:
    report = ReportFactory.create(state=State.RUNNING, total_chunks=0)
    CaseResultFactory.create_batch(2, report=report)
    return report


def failed_task(error: Exception) -> str:
    """Return the id of a task that failed like this."""
    app.backend.store_result("failed", error, "FAILURE")
    return "failed"


def test_summarise_report_ends_the_import() -> None:
    report = loaded_report()

    assert summarise_report.apply(args=(report.pk,)).get() == 2

    report.refresh_from_db()
    assert report.state == State.DONE


def test_summarise_report_idempotency_a_second_run_gives_the_same() -> None:
    report = loaded_report()

    results = [summarise_report.apply(args=(report.pk,)).get() for _ in range(2)]

    assert results == [2, 2]


def test_summarise_report_retry_follows_when_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = loaded_report()
    monkeypatch.setattr(imports, "summarise", locked_once(imports.summarise))

    assert summarise_report.apply(args=(report.pk,)).get() == 2


def test_summarise_report_retry_waits_longer_after_every_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "summarise", locked)

    assert delays(summarise_report, 1, monkeypatch=monkeypatch) == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (imports.InvalidReport("the file is empty"), "the file is empty"),
        (KeyError("name"), "KeyError: 'name'"),
        (ChordError("Dependency x raised y"), "ChordError: Dependency x raised y"),
    ],
)
def test_fail_report_keeps_the_error_of_the_failed_task_as_reason(
    error: Exception, reason: str
) -> None:
    report = ReportFactory.create(state=State.RUNNING)

    fail_report.apply(args=(failed_task(error), report.pk)).get()

    report.refresh_from_db()
    assert (report.state, report.error) == (State.FAILED, reason)


def test_fail_report_names_the_chunk() -> None:
    report = ReportFactory.create(state=State.RUNNING)
    failed = failed_task(KeyError("name"))

    fail_report.apply(args=(failed, report.pk), kwargs={"chunk": 3}).get()

    report.refresh_from_db()
    assert report.error == "chunk 3: KeyError: 'name'"


def test_fail_report_of_a_task_whose_result_is_gone_still_fails_the_report() -> None:
    report = ReportFactory.create(state=State.RUNNING)

    fail_report.apply(args=("expired", report.pk)).get()

    report.refresh_from_db()
    assert (report.state, report.error) == (State.FAILED, "unknown; see the log")


def test_fail_report_idempotency_a_message_delivered_twice_has_one_effect() -> None:
    report = ReportFactory.create(state=State.RUNNING)
    failed = failed_task(KeyError("name"))
    fail_report.apply(args=(failed, report.pk)).get()
    report.refresh_from_db()
    first = report.finished_at

    fail_report.apply(args=(failed, report.pk)).get()

    report.refresh_from_db()
    assert report.finished_at == first


def test_fail_report_retry_waits_longer_after_every_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "fail", locked)

    assert delays(fail_report, "x", 1, monkeypatch=monkeypatch) == [1, 2, 4, 8]
