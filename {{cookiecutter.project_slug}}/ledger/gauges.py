"""How the ledger stands now: what waits and for how long, who works, whether beat is late."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models.functions import Now
from django_celery_beat.models import PeriodicTask

from config import queues
from ledger import doorbell, sql, workers
from ledger.schedule import due_times


@dataclass
class QueueState:
    """One queue of the topology.

    Attributes:
        oldest_due_seconds: for how long the run that waits longest could have been started;
            what waits for its time is not due.
        messages: that wait in the broker; None if it does not tell.
    """

    oldest_due_seconds: float = 0.0
    messages: int | None = None


class Ledger(NamedTuple):
    """What belongs to no queue.

    Attributes:
        outbox_seconds: for how long the oldest due run has not been rung for: relays or
            the broker do not work.
        leases: runs that a worker holds.
        lapsed: leases that ran out and that no relay has taken back.
    """

    outbox_seconds: float
    leases: int
    lapsed: int


class WorkerState(NamedTuple):
    """What a worker has last said of itself."""

    name: str
    queues: list[str]
    processes: int
    busy: int
    memory_bytes: int | None


class Beat(NamedTuple):
    """The schedule: how many entries are enabled, and by how much the latest tick is late."""

    entries: int
    lag_seconds: float


def queue_states() -> dict[str, QueueState]:
    """Return every queue of the topology; what waits elsewhere waits in vain, as `other`."""
    found = {queue.name: QueueState() for queue in queues.QUEUES}
    due = " UNION ALL ".join(f"""
        SELECT queue, min(run_at) AS run_at FROM ledger_taskrun
        WHERE {condition} AND run_at <= {sql.now()} GROUP BY queue
        """ for condition in _WAITING)
    for queue, seconds in sql.fetch(
        f"SELECT queue, {sql.seconds_since('min(run_at)')} FROM ({due}) AS due GROUP BY queue"
    ):
        state = found.setdefault(queue if queue in found else "other", QueueState())
        state.oldest_due_seconds = max(state.oldest_due_seconds, float(seconds))
    return found


def count_messages(states: dict[str, QueueState]) -> bool:
    """Ask the broker what waits in the queues; return whether it answered."""
    try:
        for queue in queues.QUEUES:
            states[queue.name].messages = doorbell.messages_in(queue.name)
    except Exception:  # whatever is the matter with it
        return False
    return True


def ledger() -> Ledger:
    """Return what belongs to no queue."""
    [row] = sql.fetch(f"""
        SELECT
            (SELECT {sql.seconds_since('min(run_at)')} FROM ledger_taskrun
                WHERE state = 'pending' AND lane = '' AND run_at <= {sql.now()}),
            (SELECT count(*) FROM ledger_taskrun
                WHERE state = 'running' AND lease_until IS NOT NULL),
            (SELECT count(*) FROM ledger_taskrun
                WHERE state = 'running' AND lease_until < {sql.now()})
        """)
    return Ledger(max(0.0, float(row[0] or 0)), *row[1:])


def worker_states() -> list[WorkerState]:
    """Return the workers that have been heard of lately, one of each of Celery's names.

    One that was killed and started again is there twice for a while: the last one counts.
    """
    rows = sql.fetch(
        f"""
        SELECT name, queues, processes, busy, memory_bytes FROM ledger_liveworker
        WHERE seen_at > {sql.from_now()} ORDER BY seen_at
        """,
        [-workers.seconds_until_gone()],
    )
    by_name = {name.partition(":")[0]: rest for name, *rest in rows}
    return [
        WorkerState(name, served.split(","), *rest)
        for name, (served, *rest) in by_name.items()
    ]


def beat() -> Beat:
    """Return how far behind the schedule is; an entry that can never run is not late."""
    entries: Any = PeriodicTask.objects.filter(enabled=True)
    lag, count = 0.0, 0
    for entry in entries.annotate(database_time=Now()):
        count += 1
        if entry.last_run_at is None:
            continue  # beat has not seen it yet
        try:
            due = next(due_times(entry, entry.last_run_at), entry.database_time)
        except Exception:  # beat itself complains of it
            continue
        lag = max(lag, (entry.database_time - due).total_seconds())
    return Beat(count, lag)


_WAITING = (
    "state = 'pending' AND lane = ''",
    "state = 'pending' AND lane > ''",
    "state = 'queued'",
)
