"""Figures over many reports."""

from datetime import date, datetime, timedelta

import pytest
from django.utils import timezone

from app.models import MonthlyTotal, Report
from app.services import analytics
from tests.factories.imports import CaseResultFactory, ReportFactory

pytestmark = pytest.mark.django_db

NOON = timezone.make_aware(datetime(2026, 3, 18, 12))


def report_of(created_at: datetime, **fields: object) -> Report:
    """Return a report that is imported and arrived at that time."""
    report = ReportFactory.create(state=Report.State.DONE, **fields)
    Report.objects.filter(pk=report.pk).update(created_at=created_at)
    return report


def test_totals_are_per_day(monkeypatch: pytest.MonkeyPatch) -> None:
    # By the clock a day may have 25 hours: what is 24 hours ago can be today.
    today, yesterday = NOON, NOON - timedelta(days=1)
    monkeypatch.setattr(timezone, "now", lambda: NOON + timedelta(hours=1))
    CaseResultFactory.create(report=report_of(yesterday), outcome="failed")
    report = report_of(today)
    for outcome in ("passed", "passed", "errored", "skipped"):
        CaseResultFactory.create(report=report, outcome=outcome, seconds=0.5)

    per_day = analytics.compute(30)["per_day"]

    assert [(day["passed"], day["failed"]) for day in per_day] == [(0, 1), (2, 0)]
    assert per_day[1] == {
        "day": "2026-03-18",
        "passed": 2,
        "failed": 0,
        "errored": 1,
        "skipped": 1,
        "seconds": 2.0,
    }


def test_cases_outside_the_window_and_of_unfinished_reports_do_not_count() -> None:
    CaseResultFactory.create(report=report_of(timezone.now() - timedelta(days=31)))
    CaseResultFactory.create(report=ReportFactory.create(state=Report.State.RUNNING))

    assert analytics.compute(30)["per_day"] == []


def test_flaky_is_what_both_passed_and_failed() -> None:
    for name, outcomes in {
        "stable": ("passed", "passed"),
        "broken": ("failed", "errored"),
        "wobbly": ("passed", "failed"),
        "shaky": ("passed", "errored", "failed"),
    }.items():
        for outcome in outcomes:
            report = report_of(timezone.now())
            CaseResultFactory.create(report=report, name=name, outcome=outcome)

    flaky = analytics.compute(30)["flaky"]

    assert [(test["name"], test["passed"], test["failed"]) for test in flaky] == [
        ("shaky", 1, 2),
        ("wobbly", 1, 1),
    ]


def test_slowest_are_ordered_by_their_mean() -> None:
    report = report_of(timezone.now())
    for name, seconds in (("a", 1.0), ("a", 3.0), ("b", 2.5), ("untimed", None)):
        CaseResultFactory.create(report=report, name=name, seconds=seconds)

    slowest = analytics.compute(30)["slowest"]

    assert [(test["name"], test["mean_seconds"], test["runs"]) for test in slowest] == [
        ("b", 2.5, 1),
        ("a", 2.0, 2),
    ]


def test_overview_is_computed_once_while_it_is_fresh() -> None:
    first = analytics.compute(30)
    CaseResultFactory.create(report=report_of(timezone.now()))

    assert analytics.compute(30) == first == analytics.cached(30)
    assert analytics.cached(7) is None


def test_flaky_tests_of_a_week_include_its_last_day_and_not_the_next() -> None:
    monday, sunday = date(2026, 3, 16), date(2026, 3, 22)
    for name, failed_at in (
        ("in", timezone.make_aware(datetime(2026, 3, 22, 23, 59))),
        ("out", timezone.make_aware(datetime(2026, 3, 23))),
    ):
        CaseResultFactory.create(report=report_of(NOON), name=name)
        report = report_of(failed_at)
        CaseResultFactory.create(report=report, name=name, outcome="failed")

    assert [test["name"] for test in analytics.flaky(monday, sunday)] == ["in"]


def test_totals_of_a_month_are_kept_when_its_reports_are_gone() -> None:
    report = report_of(NOON)
    CaseResultFactory.create(report=report, outcome="failed", seconds=1.5)
    CaseResultFactory.create(report=report_of(NOON + timedelta(days=31)))

    analytics.archive_month(date(2026, 3, 31))
    Report.objects.all().delete()
    analytics.archive_month(date(2026, 3, 1))

    total = MonthlyTotal.objects.get()
    assert (total.month, total.reports) == (date(2026, 3, 1), 1)
    assert (total.passed, total.failed, total.seconds) == (0, 1, 1.5)
