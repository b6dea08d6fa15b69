"""Figures over many reports: totals per day, flaky tests, slowest tests.

An overview is expensive, so it is computed in the background, once for everybody who asks
for the same window, and kept in the cache for a while.
"""

from datetime import date, datetime, time, timedelta
from typing import TypedDict

from django.core.cache import cache
from django.db.models import Avg, Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from app.models import CaseResult, MonthlyTotal, Report
from config.env import env

Outcome = CaseResult.Outcome

FLAKY_SHOWN = 50
SLOWEST_SHOWN = 10


class DayTotals(TypedDict):
    """The cases of one day."""

    day: str
    passed: int
    failed: int
    errored: int
    skipped: int
    seconds: float


class FlakyTest(TypedDict):
    """A test that both passed and failed."""

    suite: str
    classname: str
    name: str
    passed: int
    failed: int


class SlowTest(TypedDict):
    """A test and how long it takes on average."""

    suite: str
    classname: str
    name: str
    mean_seconds: float
    runs: int


class Overview(TypedDict):
    """The figures of a window of days."""

    days: int
    computed_at: str
    per_day: list[DayTotals]
    flaky: list[FlakyTest]
    slowest: list[SlowTest]


def cached(days: int) -> Overview | None:
    """Return the overview of the last `days` days if it is there and fresh."""
    overview: Overview | None = cache.get(_key(days))
    return overview


def compute(days: int) -> Overview:
    """Compute the overview of the last `days` days, unless it is fresh, and keep it."""
    overview = cached(days)
    if overview is None:
        until = timezone.now()
        cases = _cases(until - timedelta(days=days), until)
        overview = Overview(
            days=days,
            computed_at=until.isoformat(),
            per_day=_per_day(cases),
            flaky=_flaky(cases),
            slowest=_slowest(cases),
        )
        cache.set(_key(days), overview, timeout=env.ANALYTICS_CACHE_SECONDS)
    return overview


def flaky(first: date, last: date) -> list[FlakyTest]:
    """Return the tests that both passed and failed, the most failing first.

    Args:
        first: first day of the window, in the service's time zone.
        last: its last day, inclusive.
    """
    return _flaky(_cases(_midnight(first), _midnight(last + timedelta(days=1))))


def archive_month(day: date) -> MonthlyTotal:
    """Write down the totals of the month that a day is in.

    The first result stays: later ones could miss reports that retention has deleted.
    """
    month = day.replace(day=1)
    next_month = (month + timedelta(days=31)).replace(day=1)
    window = (_midnight(month), _midnight(next_month))
    totals = _cases(*window).aggregate(
        reports=Count("report", distinct=True),
        passed=_count(Outcome.PASSED),
        failed=_count(Outcome.FAILED),
        errored=_count(Outcome.ERRORED),
        skipped=_count(Outcome.SKIPPED),
        seconds=Coalesce(Sum("seconds"), 0.0),
    )
    total, _ = MonthlyTotal.objects.get_or_create(month=month, defaults=totals)
    return total


def _key(days: int) -> str:
    return f"analytics:overview:{days}"


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _count(*outcomes: CaseResult.Outcome) -> Count:
    return Count("pk", filter=Q(outcome__in=outcomes))


def _cases(since: datetime, until: datetime) -> QuerySet[CaseResult]:
    return CaseResult.objects.filter(
        report__state=Report.State.DONE,
        report__created_at__gte=since,
        report__created_at__lt=until,
    )


def _per_day(cases: QuerySet[CaseResult]) -> list[DayTotals]:
    rows = (
        cases.annotate(day=TruncDate("report__created_at"))
        .values("day")
        .annotate(
            passed=_count(Outcome.PASSED),
            failed=_count(Outcome.FAILED),
            errored=_count(Outcome.ERRORED),
            skipped=_count(Outcome.SKIPPED),
            total_seconds=Coalesce(Sum("seconds"), 0.0),
        )
        .order_by("day")
    )
    return [
        DayTotals(
            day=row["day"].isoformat(),
            passed=row["passed"],
            failed=row["failed"],
            errored=row["errored"],
            skipped=row["skipped"],
            seconds=row["total_seconds"],
        )
        for row in rows
    ]


def _flaky(cases: QuerySet[CaseResult]) -> list[FlakyTest]:
    rows = (
        cases.values("suite", "classname", "name")
        .annotate(
            passed=_count(Outcome.PASSED),
            failed=_count(Outcome.FAILED, Outcome.ERRORED),
        )
        .filter(passed__gt=0, failed__gt=0)
        .order_by("-failed", "suite", "classname", "name")
    )
    return [FlakyTest(**row) for row in rows[:FLAKY_SHOWN]]


def _slowest(cases: QuerySet[CaseResult]) -> list[SlowTest]:
    rows = (
        cases.filter(seconds__isnull=False)
        .values("suite", "classname", "name")
        .annotate(mean_seconds=Avg("seconds"), runs=Count("pk"))
        .order_by("-mean_seconds", "suite", "classname", "name")
    )
    return [SlowTest(**row) for row in rows[:SLOWEST_SHOWN]]
