"""Rate limits that hold over all workers: one row per limited task.

`rate_limit="20/m"` spreads starts evenly, as Celery documents it: one each 3 s. Celery
itself counts in each worker process, so that every worker adds to the rate; here the next
start is a time in the database. Two clocks per task advance by one interval each time:

- `next_start`, when a worker claims a run: what holds the limit;
- `next_ring`, when the relay lets a run go: what keeps the others from being rung in vain.

Both may run one interval ahead, so that a start which comes a little late delays no other.
In any time in which the limit allows N starts there are at most N + 1.
https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
"""

from typing import Literal

from celery.utils.time import rate
from django.db import transaction

from ledger import sql
from ledger.claim import SUSPECT_CRASHES, Claim, even_if_disconnected

# Starts that may come at once after a pause.
BURST = 2

Clock = Literal["next_start", "next_ring"]


def interval(rate_limit: str | float | None) -> float | None:
    """Return the seconds between two starts, None for no limit.

    Args:
        rate_limit: in Celery's notation, such as `"20/m"`, or per second.

    Raises:
        ValueError: if it cannot be read.
    """
    try:
        per_second = rate(rate_limit or 0)  # type: ignore[arg-type]  # numbers, too
    except (KeyError, ValueError):
        raise ValueError(f"expected a rate such as 20/m, not {rate_limit!r}") from None
    return 1 / per_second if per_second else None


def claim(
    id: str, token: str, call_number: int, *, name: str, interval: float
) -> Claim | None:
    """Start an attempt of a limited task, if the limit allows it now.

    If not, the start is undone, so that it counts as no attempt, and the run waits in its
    lane. Start and slot are one transaction: neither is used up without the other.

    Args:
        id: of the run.
        token: of the message.
        call_number: that the message was published for.
        name: of the task.
        interval: seconds between two starts.

    Returns:
        None if there is nothing to claim, or not yet.
    """

    def attempt() -> tuple[Claim | None, bool]:
        with transaction.atomic():
            held = Claim.take(id, token, call_number)
            early = held is not None and not take_slot(name, interval, "next_start")
            transaction.set_rollback(early)
        return held, early

    held, early = even_if_disconnected(attempt)
    if early:
        _put_back(id, call_number, name)
        return None
    return held


def take_slot(name: str, interval: float, clock: Clock) -> bool:
    """Advance a clock by one interval, unless that is more than one interval ahead.

    One that is more than two ahead was set when the limit was lower, and is not heeded;
    the second more is for a clock that was set back a little.

    Args:
        name: of the task.
        interval: seconds, unless `set_interval` has given another.
        clock: which of the two.

    Returns:
        Whether the slot was free.
    """
    current = f"ledger_ratelimit.{clock}"
    seconds = "COALESCE(ledger_ratelimit.seconds, %s)"
    ahead = sql.plus(sql.this_moment(), seconds)
    far_ahead = sql.plus(sql.this_moment(), f"2 * {seconds} + 1")
    changed = sql.execute(
        f"""
        INSERT INTO ledger_ratelimit (name, {clock}) VALUES (%s, {sql.from_now()})
        ON CONFLICT (name) DO UPDATE
        SET {clock} = {sql.plus(
            sql.latest(sql.this_moment(), sql.earliest(current, ahead)), seconds
        )}
        WHERE {current} <= {ahead} OR {current} > {far_ahead}
        """,
        [name, *[interval] * 5],
    )
    return changed == 1


def interval_of(name: str, declared: float) -> float:
    """Return the interval that holds for a task: its own, or what was set since."""
    changed = sql.fetch(
        "SELECT seconds FROM ledger_ratelimit WHERE name = %s AND seconds IS NOT NULL",
        [name],
    )
    return float(changed[0][0]) if changed else declared


def set_interval(name: str, seconds: float | None) -> None:
    """Change a limit for all workers until it is changed again.

    Args:
        name: of a task that has a limit.
        seconds: between two starts; 0 lifts the limit, None restores the task's own.
    """
    sql.execute(
        """
        INSERT INTO ledger_ratelimit (name, seconds) VALUES (%s, %s)
        ON CONFLICT (name) DO UPDATE SET seconds = excluded.seconds
        """,
        [name, seconds],
    )


def _put_back(id: str, call_number: int, name: str) -> None:
    """Let a run wait that was rung too early; a suspect in no lane, as it starts alone."""
    sql.execute(
        f"""
        UPDATE ledger_taskrun
        SET state = 'pending',
            lane = CASE WHEN crashes < {SUSPECT_CRASHES}
                THEN queue || ' ' || name ELSE '' END,
            run_at = CASE WHEN crashes < {SUSPECT_CRASHES} THEN run_at ELSE (
                SELECT next_start FROM ledger_ratelimit WHERE name = %s) END
        WHERE id = %s AND call_number = %s AND state = 'queued'
        """,
        [name, id, call_number],
    )
