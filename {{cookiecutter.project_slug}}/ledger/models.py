"""The tables: one row per run, and what chords and groups need besides.

The statements that carry a guarantee are in `claim`, `enqueue`, `relay` and `chords`; each
index stands beside the statement that needs it. All of them are partial: a run that has
ended is in none but the last, so that the cost of a claim does not grow with the history.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django.db.models.functions import Now

from ledger.states import ACTIVE, FINAL, REPLAYABLE, State


def _in(states: frozenset[State]) -> Q:
    return Q(state__in=sorted(state.value for state in states))


class KeyField(models.CharField[str, str]):
    """A text that is looked up as a whole.

    On PostgreSQL, Django gives each indexed text a second index for LIKE, which every start
    and every end of a run would have to write: https://code.djangoproject.com/ticket/12234
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        """Return the type by the name for which Django makes no such index."""
        if connection.vendor == "postgresql":
            return f"character varying({self.max_length})"
        return super().db_type(connection)


class TaskRunQuerySet(models.QuerySet["TaskRun"]):
    """Runs by what a person asks about them."""

    def waiting(self) -> TaskRunQuerySet:
        """Runs that no worker has started."""
        return self.filter(state__in=(State.PENDING, State.QUEUED))

    def running(self) -> TaskRunQuerySet:
        """Runs that a worker holds."""
        return self.filter(state=State.RUNNING)

    def active(self) -> TaskRunQuerySet:
        """Runs that have not ended."""
        return self.filter(state__in=ACTIVE)

    def finished(self) -> TaskRunQuerySet:
        """Runs that have ended, one way or another."""
        return self.filter(state__in=FINAL)

    def dead_letters(self) -> TaskRunQuerySet:
        """Runs that ended without success, which a person may want to replay."""
        return self.filter(state__in=REPLAYABLE)


class TaskRun(models.Model):
    """One run of a task, from `delay()` to its end, through all its attempts.

    Invariants:
    - `state` moves only as `ledger.states.MOVES` says, and a final state never changes,
      unless a person replays the run.
    - At most one process holds a claim: (`token`, `attempts`) names it, and whatever is
      written about a started run names both.
    - A retry, a replacement or a replay changes what the row calls, and adds one to
      `call_number`. A message starts the call that it was published for, and no later one.
    - `crashes` counts the starts since the last known end of an attempt. It is what makes
      a run dead; `attempts` only grows.
    - `lease_until` is set only while the run is running. It comes from the database's clock.
    - `unique_key` is held by at most one active run.
    """

    id = KeyField(primary_key=True, max_length=255)
    name = models.CharField(max_length=255, blank=True)
    queue = models.CharField(max_length=100, blank=True, db_default="")
    args = models.TextField(db_default="[]", help_text="JSON")
    kwargs = models.TextField(db_default="{}", help_text="JSON")
    options = models.TextField(
        db_default="{}", help_text="JSON, as apply_async takes them"
    )

    call_number = models.PositiveIntegerField(
        db_default=0, help_text="of retries, replacements and replays"
    )

    priority = models.PositiveSmallIntegerField(
        db_default=0, help_text="0 is the most urgent, 9 the least"
    )
    lane = models.CharField(
        max_length=400,
        blank=True,
        db_default="",
        help_text="where it waits while it is pending, see ledger.lanes",
    )

    state = models.CharField(max_length=10, choices=State.choices)
    custom_state = models.CharField(max_length=50, blank=True, db_default="")
    attempts = models.PositiveIntegerField(db_default=0)
    crashes = models.PositiveSmallIntegerField(db_default=0)
    rings = models.PositiveIntegerField(
        db_default=0, help_text="lost messages rung again"
    )
    token = models.CharField(max_length=255, blank=True, db_default="")
    worker = models.CharField(max_length=255, blank=True, db_default="")

    result = models.TextField(null=True, help_text="JSON")
    progress = models.TextField(null=True, help_text="JSON")
    children = models.TextField(null=True, help_text="JSON")
    traceback = models.TextField(null=True)
    reason = models.TextField(
        blank=True, db_default="", help_text="why it did not succeed"
    )

    unique_key = models.CharField(max_length=255, null=True)
    group_id = models.CharField(max_length=255, null=True)
    group_index = models.PositiveIntegerField(null=True)

    created_at = models.DateTimeField(db_default=Now())
    run_at = models.DateTimeField(db_default=Now(), help_text="not before")
    rung_at = models.DateTimeField(db_default=Now())
    refused_since = models.DateTimeField(
        null=True, help_text="by workers that do not know the task"
    )
    expires_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects: ClassVar[models.Manager[TaskRun]] = TaskRunQuerySet.as_manager()

    class Meta:
        indexes = [
            # relay.due: what is to be rung now
            models.Index(
                fields=["run_at"],
                name="run_due",
                condition=Q(state=State.PENDING, lane=""),
            ),
            # lanes: what waits for its turn
            models.Index(
                fields=["lane", "priority", "run_at"],
                name="run_lane",
                condition=Q(state=State.PENDING, lane__gt=""),
            ),
            # relay.lost: what was rung and not claimed, the oldest first
            models.Index(
                fields=["rung_at", "queue"],
                name="run_rung",
                condition=Q(state=State.QUEUED),
            ),
            # relay.lapsed: whose worker is gone
            models.Index(
                fields=["lease_until"],
                name="run_leased",
                condition=Q(state=State.RUNNING),
            ),
            # relay.expired: what nobody started in time
            models.Index(
                fields=["expires_at"],
                name="run_expires",
                condition=_in(frozenset({State.PENDING, State.QUEUED}))
                & Q(expires_at__isnull=False),
            ),
            # chords.results: the members of a chord
            models.Index(
                fields=["group_id", "group_index"],
                name="run_group",
                condition=Q(group_id__isnull=False),
            ),
            # prune: what may be forgotten
            models.Index(fields=["ended_at"], name="run_ended", condition=_in(FINAL)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["unique_key"],
                name="run_unique_key",
                condition=_in(ACTIVE) & Q(unique_key__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.name}[{self.id}] {self.state}"


class ChordRun(models.Model):
    """A chord whose body has not been started.

    Invariants:
    - `done` counts members whose end is committed: it grows in the transaction that ends
      the member.
    - The row goes in the transaction that starts or fails the body; so the body is started
      exactly once.
    """

    id = KeyField(primary_key=True, max_length=255)
    done = models.PositiveIntegerField(db_default=0)
    size = models.PositiveIntegerField(null=True, help_text="unknown while it is sent")
    added = models.PositiveIntegerField(db_default=0, help_text="by Task.add_to_chord")
    header = models.TextField(null=True, help_text="JSON; for members that are groups")
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.id}: {self.done} of {self.size}"


class RateLimit(models.Model):
    """When a limited task may start next, over all workers; see `ledger.limits`."""

    name = models.CharField(primary_key=True, max_length=255, help_text="of the task")
    next_start = models.DateTimeField(db_default=Now())
    next_ring = models.DateTimeField(db_default=Now())
    seconds = models.FloatField(
        null=True, help_text="between two starts, if not as the task says"
    )

    def __str__(self) -> str:
        return self.name


class GroupRun(models.Model):
    """A group that was saved by `GroupResult.save()`."""

    id = KeyField(primary_key=True, max_length=255)
    result = models.TextField(help_text="JSON")
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.id


class LiveWorker(models.Model):
    """A worker that is alive, as its heartbeat has last described it; see `ledger.workers`.

    Nothing is decided by these rows: leases alone say who holds a run.
    """

    name = KeyField(primary_key=True, max_length=255)
    queues = models.CharField(max_length=255, help_text="with commas between")
    processes = models.PositiveIntegerField(help_text="of its pool")
    busy = models.PositiveIntegerField(help_text="processes that execute a run")
    memory_bytes = models.PositiveBigIntegerField(null=True, help_text="of all of them")
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name
