"""Monthly tasks."""

from datetime import date, timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from app.models import MonthlyTotal, Report
from app.services import analytics
from app.tasks.periodic.monthly_tasks import archive_last_month
from ledger.due import DUE_AT
from tests.factories.imports import CaseResultFactory, ReportFactory
from tests.harness.retries import locked
from tests.helpers.tester import TaskTester


def report_of_last_month() -> Report:
    report = ReportFactory.create(state=Report.State.DONE)
    CaseResultFactory.create(report=report)
    report.created_at = timezone.localtime().replace(day=1) - timedelta(days=1)
    report.save()
    return report


def passed() -> list[int]:
    """Return the totals that are archived."""
    return [*MonthlyTotal.objects.values_list("passed", flat=True)]


@pytest.mark.task("app.tasks.periodic.monthly_tasks.archive_last_month", "execution")
def test_archive_of_last_month_stays_when_its_reports_are_deleted(
    tasks: TaskTester,
) -> None:
    report = report_of_last_month()

    month = tasks.run(archive_last_month).result
    report.delete()
    again = tasks.run(archive_last_month).result

    assert month == again == f"{report.created_at:%Y-%m}"
    assert passed() == [1]


@pytest.mark.task("app.tasks.periodic.monthly_tasks.archive_last_month", "execution")
def test_archive_that_is_late_is_of_the_month_that_it_was_due_for(
    tasks: TaskTester,
) -> None:
    archive_last_month.apply_async(headers={DUE_AT: "2026-03-01T00:30:00+00:00"})

    tasks.drain()

    assert MonthlyTotal.objects.get().month == date(2026, 2, 1)


@pytest.mark.task("app.tasks.periodic.monthly_tasks.archive_last_month", "idempotency")
def test_archive_executed_twice_is_written_once(tasks: TaskTester) -> None:
    report_of_last_month()

    assert tasks.twice(archive_last_month, effects=passed) == [1]


@pytest.mark.task(
    "app.tasks.periodic.monthly_tasks.archive_last_month", "failure", "retry"
)
def test_archive_gives_up_when_the_database_stays_away(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics, "archive_month", locked)

    run = tasks.run(archive_last_month)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]
