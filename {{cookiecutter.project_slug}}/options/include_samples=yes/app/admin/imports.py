"""Admin pages of the imported test reports; to be read, not to be edited."""

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from app.admin.read_only import ReadOnly
from app.models import CaseResult, RejectedCase, Report
from app.services import imports

NOTHING = "–"

BAR_WIDTH = 160
BAR_HEIGHT = 12
COLOURS = {
    "passed": "#2e7d32",
    "failed": "#c62828",
    "errored": "#6a1b9a",
    "skipped": "#9e9e9e",
}


@admin.register(Report)
class ReportAdmin(ReadOnly, admin.ModelAdmin[Report]):
    """Reports, newest first, each with its outcome as a bar."""

    list_display = ("name", "state", "outcome", "created_at")
    list_filter = ("state",)
    search_fields = ("name", "digest")
    ordering = ("-created_at",)
    fields = (
        *("name", "state", "error", "outcome", "counts"),
        *("failures", "slowest", "rejected", "digest"),
        *("created_at", "started_at", "finished_at"),
    )

    def delete_model(self, request: HttpRequest, obj: Report) -> None:
        imports.discard(obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Report]) -> None:
        for report in queryset:
            imports.discard(report.pk)

    @admin.display(description="outcome")
    def outcome(self, report: Report) -> SafeString | str:
        """Draw the shares of the four outcomes; the figures appear under the pointer."""
        return draw_bar(report.summary) if report.summary else NOTHING

    @admin.display(description="counts")
    def counts(self, report: Report) -> str:
        """Say in words what the bar shows."""
        summary: imports.Summary | None = report.summary
        if summary is None:
            return NOTHING
        return (
            f"{summary['cases']} cases: {describe_outcomes(summary)}; "
            f"{summary['rejected']} rejected, {summary['flaky']} flaky; "
            f"{summary['seconds']:,.3f} s in all"
        )

    @admin.display(description="failures")
    def failures(self, report: Report) -> SafeString | str:
        """List the failures with their messages."""
        summary: imports.Summary | None = report.summary
        return draw_list(
            (f"{case['outcome']} {case['classname']} {case['name']}", case["message"])
            for case in (summary["failures"] if summary else [])
        )

    @admin.display(description="slowest")
    def slowest(self, report: Report) -> SafeString | str:
        """List the slowest cases."""
        summary: imports.Summary | None = report.summary
        return draw_list(
            (f"{case['seconds']:.3f} s", f"{case['classname']} {case['name']}")
            for case in (summary["slowest"] if summary else [])
        )

    @admin.display(description="rejected cases")
    def rejected(self, report: Report) -> SafeString | str:
        """List the cases that were not imported, with the reasons."""
        summary: imports.Summary | None = report.summary
        return draw_list(
            (f"case {case['position']} {case['name']}", case["reason"])
            for case in (summary["rejected_cases"] if summary else [])
        )


@admin.register(CaseResult)
class CaseResultAdmin(ReadOnly, admin.ModelAdmin[CaseResult]):
    """Single cases."""

    list_display = ("name", "classname", "outcome", "seconds", "flakiness", "report")
    list_filter = ("outcome", "flaky")
    list_select_related = ("report",)
    search_fields = ("name", "classname")
    ordering = ("-pk",)
    fields = (
        *("report", "position", "suite", "classname", "name"),
        *("outcome", "seconds", "flakiness", "message", "details"),
    )

    # Django's icons for a boolean would put a green tick on the flaky cases.
    @admin.display(description="flaky", ordering="flaky", empty_value="")
    def flakiness(self, case: CaseResult) -> str:
        """Name what is flaky, and say nothing of the healthy cases."""
        return "flaky" if case.flaky else ""


@admin.register(RejectedCase)
class RejectedCaseAdmin(ReadOnly, admin.ModelAdmin[RejectedCase]):
    """Cases that could not be imported."""

    list_display = ("position", "name", "reason", "report")
    list_select_related = ("report",)
    ordering = ("-pk",)


def describe_outcomes(summary: imports.Summary) -> str:
    """Return the four counts in words."""
    return (
        f"{summary['passed']} passed, {summary['failed']} failed, "
        f"{summary['errored']} errored, {summary['skipped']} skipped"
    )


def draw_bar(summary: imports.Summary) -> SafeString:
    """Return the outcomes as one bar of four colours (inline SVG)."""
    shares = (
        (summary["passed"], COLOURS["passed"]),
        (summary["failed"], COLOURS["failed"]),
        (summary["errored"], COLOURS["errored"]),
        (summary["skipped"], COLOURS["skipped"]),
    )
    rectangles = []
    left = 0.0
    for count, colour in shares:
        width = BAR_WIDTH * count / max(summary["cases"], 1)
        rectangles.append((f"{left:.2f}", f"{width:.2f}", BAR_HEIGHT, colour))
        left += width
    return format_html(
        '<svg role="img" width="{}" height="{}"><title>{}</title>{}</svg>',
        BAR_WIDTH,
        BAR_HEIGHT,
        describe_outcomes(summary),
        format_html_join(
            "", '<rect x="{}" width="{}" height="{}" fill="{}"/>', rectangles
        ),
    )


def draw_list(items: Iterable[tuple[str, str]]) -> SafeString | str:
    """Return labelled texts as a list; the texts come from reports and are escaped."""
    rows = format_html_join("", "<dt>{}</dt><dd>{}</dd>", items)
    return format_html("<dl>{}</dl>", rows) if rows else NOTHING
