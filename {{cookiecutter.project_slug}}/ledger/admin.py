"""Admin pages of the ledger: look, replay, cancel. Nothing is edited by hand."""

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from kombu.utils.json import loads

from config import queues
from ledger import report
from ledger.cancel import cancel
from ledger.models import TaskRun
from ledger.replay import NotReplayable, replay
from ledger.states import REPLAYABLE, State

# Rows that are counted at most: counting millions would take longer than showing the page.
COUNTED_ROWS = 10_000
REASON_CHARACTERS = 80


class BoundedPaginator(Paginator[Any]):
    """Counts to a limit; who looks for more than that filters."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED_ROWS].count())


class StateFilter(admin.SimpleListFilter):
    """The states by their names, and those together that ask for a person."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        together = ",".join(sorted(REPLAYABLE))
        return [(together, "without success"), *((name, name) for name in State.values)]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[TaskRun]
    ) -> QuerySet[TaskRun]:
        value = self.value()
        return queryset.filter(state__in=value.split(",")) if value else queryset


class QueueFilter(admin.SimpleListFilter):
    """The queues of the topology, which no query has to find."""

    title = "queue"
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(queue.name, queue.name) for queue in queues.QUEUES]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[TaskRun]
    ) -> QuerySet[TaskRun]:
        return queryset.filter(queue=self.value()) if self.value() else queryset


@admin.register(TaskRun)
class TaskRunAdmin(admin.ModelAdmin[TaskRun]):
    """Runs, newest first.

    They are never added, changed or deleted here: only `ledger.prune` forgets. Who may
    change runs may replay and cancel them.
    """

    list_display = ("name", "state_name", "queue", "attempts", "created_at", "why")
    list_filter = (StateFilter, QueueFilter, "created_at")
    search_fields = ("name",)
    search_help_text = "a whole id, or a part of a task's name"
    ordering = ("-created_at",)
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # they count, too
    list_per_page = 50
    actions = ("replay_runs", "cancel_runs")
    fieldsets = (
        (None, {"fields": ("id", "name", "queue", "state_name", "meaning", "reason")}),
        ("Call", {"fields": ("arguments", "keywords", "call_options", "unique_key")}),
        ("Outcome", {"fields": ("outcome", "progress_json", "trace", "spawned")}),
        (
            "Timeline",
            {
                "fields": (
                    *("created_at", "run_at", "rung_at", "refused_since"),
                    *("started_at", "lease_until", "expires_at", "ended_at"),
                )
            },
        ),
        (
            "Attempts",
            {"fields": ("attempts", "crashes", "rings", "call_number", "worker")},
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether the person may use the actions."""
        return request.user.has_perm("ledger.change_taskrun")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TaskRun], search_term: str
    ) -> tuple[QuerySet[TaskRun], bool]:
        """Find an id by its index, and only else look through the names."""
        by_id = queryset.filter(pk=search_term)
        if search_term and by_id.exists():
            return by_id, False
        return super().get_search_results(request, queryset, search_term)

    @admin.action(permissions=["operate"], description="Replay selected runs")
    def replay_runs(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> None:
        def act(run: TaskRun) -> str:
            try:
                return "replayed" if replay(run) else "not replayed: changed meanwhile"
            except NotReplayable as error:
                return f"not replayed: {error}"

        self._each(request, queryset, act)

    @admin.action(permissions=["operate"], description="Cancel selected runs")
    def cancel_runs(self, request: HttpRequest, queryset: QuerySet[TaskRun]) -> None:
        self._each(request, queryset, cancel)

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[TaskRun],
        act: Callable[[TaskRun], str],
    ) -> None:
        for outcome, count in Counter(act(run) for run in list(queryset)).items():
            level = messages.WARNING if outcome.startswith("not") else messages.SUCCESS
            self.message_user(request, f"{count} × {outcome}", level)

    @admin.display(description="state", ordering="state")
    def state_name(self, run: TaskRun) -> str:
        return f"{run.state} ({run.custom_state})" if run.custom_state else run.state

    @admin.display(description="that is")
    def meaning(self, run: TaskRun) -> str:
        return State(run.state).label

    @admin.display(description="reason")
    def why(self, run: TaskRun) -> str:
        return Truncator(run.reason.partition("\n")[0]).chars(REASON_CHARACTERS)

    @admin.display(description="arguments")
    def arguments(self, run: TaskRun) -> SafeString:
        return _json(run.args)

    @admin.display(description="keyword arguments")
    def keywords(self, run: TaskRun) -> SafeString:
        return _json(run.kwargs)

    @admin.display(description="options")
    def call_options(self, run: TaskRun) -> SafeString:
        return _json(run.options)

    @admin.display(description="result")
    def outcome(self, run: TaskRun) -> SafeString:
        return _json(run.result)

    @admin.display(description="progress")
    def progress_json(self, run: TaskRun) -> SafeString:
        return _json(run.progress)

    @admin.display(description="traceback")
    def trace(self, run: TaskRun) -> SafeString:
        return _block(run.traceback or "-")

    @admin.display(description="children")
    def spawned(self, run: TaskRun) -> SafeString:
        children: dict[str, str] = report.details(run)["children"]
        return _block("\n".join(f"{id}  {at}" for id, at in children.items()) or "-")


def _json(encoded: str | None) -> SafeString:
    return _block(report.pretty(loads(encoded)) if encoded else "-")


def _block(text: str) -> SafeString:
    return format_html('<pre style="margin: 0; white-space: pre-wrap">{}</pre>', text)
