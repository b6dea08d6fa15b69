"""What has happened to runs, counted from their rows: enqueued, started, ended, and how long.

Nothing is counted where the work is done, so that it costs tasks nothing and no process can
take its counts with it when it dies. Whoever asks looks at what has ended since it asked
last, and at what is active now:

- An end is counted by its time, once its transaction cannot be under way any more.
- What was enqueued or started is what has ended since the first look, and what is active,
  less what was active then.

Counts begin with the first look and only grow, as Prometheus expects of a counter.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from ledger import sql
from ledger.states import FINAL, State

# Upper bounds in seconds; a doorbell takes some milliseconds, a slow task half an hour.
WAITING_BUCKETS = (0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
RUNNING_BUCKETS = (0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0, 1800.0)

# Rows of a transaction that is open for longer become visible too late to be counted.
PATIENCE_SECONDS = 300

# A statement that began a moment ago may not have a transaction yet that others see. SQLite
# tells of none at all, and has one that writes at a time.
MARGIN_SECONDS = 1

# Task and queue.
Label = tuple[str, str]


@dataclass
class Histogram:
    """Durations by bucket; the last bucket has no upper bound."""

    bounds: Sequence[float]
    seconds: float = 0.0
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, bucket: int, count: int, seconds: float) -> None:
        """Count so many durations, all in one bucket, and their sum."""
        self.counts[bucket] += count
        self.seconds += seconds

    def cumulated(self) -> Iterator[tuple[str, int]]:
        """Yield the bounds as Prometheus writes them, each with all counts up to it."""
        total = 0
        for bound, count in zip((*self.bounds, "+Inf"), self.counts, strict=True):
            total += count
            yield str(bound), total


@dataclass
class Counts:
    """What has happened to the runs of one task in one queue."""

    enqueued: int = 0
    started: int = 0
    retried: int = 0
    ended: dict[str, int] = field(
        default_factory=lambda: {state.value: 0 for state in sorted(FINAL)}
    )
    waiting: Histogram = field(default_factory=lambda: Histogram(WAITING_BUCKETS))
    running: Histogram = field(default_factory=lambda: Histogram(RUNNING_BUCKETS))


@dataclass
class Active:
    """The runs of one task in one queue that have not ended, as they are now.

    `replaced` ones are left out until another task takes them over: no index has them.
    """

    runs: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    started: int = 0
    retried: int = 0


class Tally:
    """The counts of one observer, since its first look."""

    def __init__(self) -> None:
        self.counts: dict[Label, Counts] = defaultdict(Counts)
        self._since: Any = None
        self._first: dict[Label, Active] = {}
        self._ended: dict[Label, list[int]] = defaultdict(lambda: [0, 0, 0])

    def update(self, active: dict[Label, Active]) -> None:
        """Count what has happened since the last look.

        Args:
            active: what `active()` has just returned.
        """
        until = _settled()
        if self._since is None:
            self._first = active
        else:
            # Not back to a transaction that had not written yet: its ends are later than that.
            until = max(self._since, until)
            for row in _ended(self._since, until):
                self._count(*row)
        self._since = until
        for label in {*active, *self._ended, *self._first}:
            self._balance(label, active.get(label, Active()))

    def _count(
        self,
        label: Label,
        state: str,
        waiting: int | None,
        running: int | None,
        totals: Sequence[Any],
    ) -> None:
        rows, started, retried, waited_seconds, ran_seconds = totals
        counts = self.counts[label]
        counts.ended[state] += rows
        for number, count in enumerate((rows, started, retried)):
            self._ended[label][number] += count
        if waiting is not None and running is not None:
            counts.waiting.add(waiting, rows, waited_seconds)
            counts.running.add(running, rows, ran_seconds)

    def _balance(self, label: Label, active: Active) -> None:
        """Never less than before: a run may be between the two looks for a moment."""
        counts, first = self.counts[label], self._first.get(label, Active())
        rows, started, retried = self._ended[label]
        enqueued = rows + sum(active.runs.values()) - sum(first.runs.values())
        counts.enqueued = max(counts.enqueued, enqueued)
        counts.started = max(counts.started, started + active.started - first.started)
        counts.retried = max(counts.retried, retried + active.retried - first.retried)


def active() -> dict[Label, Active]:
    """Return what has not ended, by task and queue."""
    # One partial index after the other: PostgreSQL reads the whole table for all at once.
    conditions = (
        "state = 'pending' AND lane = ''",
        "state = 'pending' AND lane > ''",
        "state = 'queued'",
        "state = 'running'",
    )
    found: dict[Label, Active] = defaultdict(Active)
    for name, queue, state, rows, started, retried in sql.fetch(" UNION ALL ".join(f"""
            SELECT name, queue, state, COUNT(*), {_STARTED}, {_retried()}
            FROM ledger_taskrun WHERE {condition} GROUP BY name, queue, state
            """ for condition in conditions)):
        label = found[name, queue]
        label.runs[state] += rows
        label.started += started
        label.retried += retried
    return found


def _ended(since: Any, until: Any) -> Iterator[tuple[Any, ...]]:
    waited = sql.seconds_between("run_at", "started_at")
    ran = sql.seconds_between("started_at", "ended_at")
    # A replayed run that nobody has started again still has the time of its last start.
    both = (
        f"CASE WHEN attempts > 0 AND started_at >= run_at AND state <> '{State.DEAD}'"
    )
    rows = sql.fetch(
        f"""
        SELECT name, queue, state,
            {both} THEN {_bucket(waited, WAITING_BUCKETS)} END,
            {both} THEN {_bucket(ran, RUNNING_BUCKETS)} END,
            COUNT(*), {_STARTED}, {_retried()},
            COALESCE(SUM({both} THEN {waited} END), 0),
            COALESCE(SUM({both} THEN {ran} END), 0)
        FROM ledger_taskrun
        WHERE {sql.in_states(*sorted(FINAL))} AND ended_at >= %s AND ended_at < %s
        GROUP BY 1, 2, 3, 4, 5
        """,
        [since, until],
    )
    for name, queue, state, waiting, running, *totals in rows:
        yield (name, queue), state, waiting, running, totals


_STARTED = "SUM(CASE WHEN attempts > 0 THEN 1 ELSE 0 END)"


def _retried() -> str:
    """Return the SQL for the sum of retries, which Celery counts in a call's options.

    Nothing that Python's JSON may hold and the database's refuses is left in them: escapes of
    NUL and of half characters, and numbers that are none.
    """
    retries = (
        r"(regexp_replace(options, '\\.|NaN|Infinity', '0', 'g')::json ->> 'retries')::int"
        if connection.vendor == "postgresql"
        else "json_extract(replace(replace(options, 'NaN', '0'), 'Infinity', '0'), '$.retries')"
    )
    return f"SUM(CASE WHEN attempts > 0 THEN COALESCE({retries}, 0) ELSE 0 END)"


def _bucket(seconds: str, bounds: Sequence[float]) -> str:
    cases = [
        f"WHEN {seconds} <= {bound} THEN {number}"
        for number, bound in enumerate(bounds)
    ]
    return f"CASE {' '.join(cases)} ELSE {len(bounds)} END"


def _settled() -> Any:
    """Return a time by the database's clock before which nothing can appear any more.

    A row says when its statement began. It is seen when its transaction commits; so
    whatever is older than all open transactions is seen, or will never be.
    https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW
    """
    margin = sql.later(str(-MARGIN_SECONDS))
    if connection.vendor != "postgresql":
        return sql.fetch(f"SELECT {margin}")[0][0]
    [[settled]] = sql.fetch(f"""
        SELECT greatest(least({margin}, min(xact_start)), {sql.later(str(-PATIENCE_SECONDS))})
        FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
            AND backend_xid IS NOT NULL
        """)
    return settled
