"""The tasks that end an import."""

import pytest
from celery.exceptions import ChordError
from django.db import OperationalError

from app.models import Report
from app.services import imports
from app.tasks.import_tasks import fail_report, summarise_report
from config.celery import app
from tests.factories.imports import CaseResultFactory, ReportFactory
from tests.harness.retries import locked, locked_once
from tests.helpers.tester import TaskTester

State = Report.State


def loaded_report() -> Report:
    report = ReportFactory.create(state=State.RUNNING, total_chunks=0)
    CaseResultFactory.create_batch(2, report=report)
    return report


def failed_task(error: Exception) -> str:
    """Return the id of a task that failed like this."""
    app.backend.store_result("failed", error, "FAILURE")
    return "failed"


@pytest.mark.task("app.tasks.import_tasks.summarise_report", "execution")
def test_summarise_report_ends_the_import(tasks: TaskTester) -> None:
    report = loaded_report()

    assert tasks.run(summarise_report, report.pk).result == 2

    report.refresh_from_db()
    assert report.state == State.DONE


@pytest.mark.task("app.tasks.import_tasks.summarise_report", "idempotency")
def test_summarise_report_executed_twice_ends_the_import_once(
    tasks: TaskTester,
) -> None:
    report = loaded_report()

    def ended() -> list[tuple[object, ...]]:
        return [*Report.objects.values_list("state", "summary", "finished_at")]

    [(state, _, _)] = tasks.twice(summarise_report, report.pk, effects=ended)

    assert state == State.DONE


@pytest.mark.task("app.tasks.import_tasks.summarise_report", "retry")
def test_summarise_report_is_retried_until_the_database_is_back(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = loaded_report()
    monkeypatch.setattr(imports, "summarise", locked_once(imports.summarise))

    run = tasks.run(summarise_report, report.pk)

    assert (run.result, run.retry_delays) == (2, [1])


@pytest.mark.task("app.tasks.import_tasks.summarise_report", "failure", "retry")
def test_summarise_report_gives_up_when_the_database_stays_away(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "summarise", locked)

    run = tasks.run(summarise_report, 1)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]


@pytest.mark.task("app.tasks.import_tasks.fail_report", "execution")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (imports.InvalidReport("the file is empty"), "the file is empty"),
        (KeyError("name"), "KeyError: 'name'"),
        (ChordError("Dependency x raised y"), "ChordError: Dependency x raised y"),
    ],
)
def test_fail_report_keeps_the_error_of_the_failed_task_as_reason(
    error: Exception, reason: str, tasks: TaskTester
) -> None:
    report = ReportFactory.create(state=State.RUNNING)

    assert tasks.run(fail_report, failed_task(error), report.pk).result == reason

    report.refresh_from_db()
    assert (report.state, report.error) == (State.FAILED, reason)


@pytest.mark.task("app.tasks.import_tasks.fail_report", "execution")
def test_fail_report_names_the_chunk(tasks: TaskTester) -> None:
    report = ReportFactory.create(state=State.RUNNING)

    tasks.run(fail_report, failed_task(KeyError("name")), report.pk, chunk=3)

    report.refresh_from_db()
    assert report.error == "chunk 3: KeyError: 'name'"


@pytest.mark.task("app.tasks.import_tasks.fail_report", "execution")
def test_fail_report_of_a_task_whose_result_is_gone_still_fails_the_report(
    tasks: TaskTester,
) -> None:
    report = ReportFactory.create(state=State.RUNNING)

    tasks.run(fail_report, "expired", report.pk)

    report.refresh_from_db()
    assert (report.state, report.error) == (State.FAILED, "unknown; see the log")


@pytest.mark.task("app.tasks.import_tasks.fail_report", "idempotency")
def test_fail_report_executed_twice_fails_the_report_once(tasks: TaskTester) -> None:
    report = ReportFactory.create(state=State.RUNNING)
    failed = failed_task(KeyError("name"))

    def ended() -> list[tuple[object, ...]]:
        return [*Report.objects.values_list("state", "finished_at")]

    [(state, _)] = tasks.twice(fail_report, failed, report.pk, effects=ended)

    assert state == State.FAILED


@pytest.mark.task("app.tasks.import_tasks.fail_report", "failure", "retry")
def test_fail_report_gives_up_when_the_database_stays_away(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "fail", locked)

    run = tasks.run(fail_report, "expired", 1)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]
