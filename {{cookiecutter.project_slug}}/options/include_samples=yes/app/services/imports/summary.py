"""The summary of an imported report: what a person wants to know of a test run."""

from typing import TypedDict

from django.db.models import Count, Q, Sum
from django.utils import timezone

from app.models import CaseResult, Report
from app.services.errors import PermanentError

Outcome = CaseResult.Outcome

SLOWEST = 10
# A summary is read by people; the tables have the rest.
MAX_LISTED = 100


class NotLoaded(PermanentError):
    """A summary was asked for while chunks of the report are still on their way."""


class SlowCase(TypedDict):
    """One of the slowest cases."""

    classname: str
    name: str
    seconds: float


class FailedCase(TypedDict):
    """A case that failed or had an error."""

    classname: str
    name: str
    outcome: str
    message: str


class NotImported(TypedDict):
    """A case that was rejected."""

    position: int
    name: str
    reason: str


class Summary(TypedDict):
    """Counts, and the first `MAX_LISTED` of each list; `seconds` is the sum of all cases."""

    cases: int
    passed: int
    failed: int
    errored: int
    skipped: int
    flaky: int
    rejected: int
    seconds: float
    slowest: list[SlowCase]
    failures: list[FailedCase]
    rejected_cases: list[NotImported]


def summarise(report_id: int) -> Summary:
    """Compute the summary from the loaded cases, and end the import with it.

    Args:
        report_id: primary key of the report.

    Returns:
        The summary, which is also kept in the report.

    Raises:
        NotLoaded: if a chunk is missing, so that no report ends as done by halves.
    """
    report = Report.objects.get(pk=report_id)
    loaded = report.chunks.loaded().count()
    if report.total_chunks is None or loaded < report.total_chunks:
        raise NotLoaded(f"{loaded} of {report.total_chunks} chunks are loaded")
    summary = _compute(report)
    now = timezone.now()
    Report.objects.filter(pk=report_id).not_done().update(
        state=Report.State.DONE,
        summary=summary,
        error="",
        finished_at=now,
        updated_at=now,
    )
    return summary


def _compute(report: Report) -> Summary:
    results = report.results.all()
    totals = results.aggregate(
        cases=Count("pk"),
        flaky=Count("pk", filter=Q(flaky=True)),
        seconds=Sum("seconds"),
        **{
            outcome.value: Count("pk", filter=Q(outcome=outcome)) for outcome in Outcome
        },
    )
    timed = results.filter(seconds__isnull=False).order_by("-seconds", "position")
    failures = results.filter(outcome__in=(Outcome.FAILED, Outcome.ERRORED))
    return Summary(
        cases=totals["cases"],
        passed=totals["passed"],
        failed=totals["failed"],
        errored=totals["errored"],
        skipped=totals["skipped"],
        flaky=totals["flaky"],
        rejected=report.rejected.count(),
        seconds=round(totals["seconds"] or 0.0, 3),
        slowest=[
            SlowCase(classname=case.classname, name=case.name, seconds=case.seconds)
            for case in timed.only("classname", "name", "seconds")[:SLOWEST]
            if case.seconds is not None
        ],
        failures=[
            FailedCase(**case)
            for case in failures.order_by("position").values(
                "classname", "name", "outcome", "message"
            )[:MAX_LISTED]
        ],
        rejected_cases=[
            NotImported(**case)
            for case in report.rejected.order_by("position").values(
                "position", "name", "reason"
            )[:MAX_LISTED]
        ],
    )
