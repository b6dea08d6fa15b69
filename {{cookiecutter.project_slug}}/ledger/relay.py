"""Ring for what is due or was lost, free what lapsed, bury what kills its workers.

A thread of every worker, so that it ends with the last of them only; any number may run at
once, because each step takes its rows with one compare-and-set. `manage.py relay` runs it
alone.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from django.db import connection, transaction
from kombu.utils.json import loads

from config.env import env
from ledger import doorbell, lanes, sql, unstarted
from ledger.call import Call
from ledger.claim import SUSPECT_CRASHES
from ledger.states import State

log = logging.getLogger(__name__)

ROWS_PER_STEP = 200

# Seconds from one look to the next, and after a broker or a database that did not answer.
POLL_SECONDS = 0.2
RETRY_SECONDS = 1.0

# In a queue that is not empty, an unclaimed message waits in a backlog. It is rung again
# all the same, at first after this many times LEDGER_LOST_SECONDS, and then half as often
# each time, in case that it was lost.
BACKLOG_FACTOR = 8
MAX_DOUBLINGS = 8

# A search for lost messages that takes so long may take one REST_FACTORth of the time.
LONG_SEARCH_SECONDS = 0.02
REST_FACTOR = 20

# Held by the relay that chooses a suspect; any number that nobody else locks.
SUSPECTS_LOCK = int.from_bytes(b"suspects")

_wake = threading.Event()
_rest_until = 0.0


def start(stop: threading.Event) -> threading.Thread:
    """Start the relay as a thread; it ends when `stop` is set."""
    thread = threading.Thread(target=run, args=[stop], name="ledger-relay", daemon=True)
    thread.start()
    return thread


def run(
    stop: threading.Event, turned: Callable[[str], None] = lambda problem: None
) -> None:
    """Work until `stop` is set, whatever is down in the meantime.

    Args:
        stop: ends the work.
        turned: called after each step, with what went wrong or a blank.
    """
    while not stop.is_set():
        problem = ""
        try:
            if not step():
                problem = "the broker does not answer"
        except Exception:
            log.warning("relay could not work", exc_info=True)
            connection.close()
            problem = "the database does not answer"
        turned(problem)
        pause = RETRY_SECONDS if problem else POLL_SECONDS
        _wake.wait(lanes.pause(pause))
        _wake.clear()
    connection.close()


def look_now() -> None:
    """Make the relay of this process look at once."""
    _wake.set()


def step() -> bool:
    """Do what is to be done now; return False if the broker could not be reached."""
    todo = _look()
    if todo.expired:
        unstarted.cancel_expired()
    if todo.lapsed:
        unstarted.bury_poisoned()
        put_suspects_aside()
        if not ring_lapsed():
            return False
    if todo.due and not ring_due():
        return False
    if todo.in_lanes and not ring_next():
        return False
    return _search_lost() if todo.unclaimed else True


class _Todo(NamedTuple):
    """What one cheap look at the partial indexes has found."""

    due: bool
    in_lanes: bool
    lapsed: bool
    expired: bool
    unclaimed: bool


def _look() -> _Todo:
    # The smallest of an index, not EXISTS: for that, PostgreSQL may read the table instead,
    # hoping to meet such a row early on its way through the history.
    [found] = sql.fetch(
        f"""
        SELECT
            (SELECT min(run_at) FROM ledger_taskrun
                WHERE state = 'pending' AND lane = '') <= {sql.now()},
            (SELECT min(lane) FROM ledger_taskrun
                WHERE state = 'pending' AND lane > '') IS NOT NULL,
            (SELECT min(lease_until) FROM ledger_taskrun
                WHERE state = 'running') < {sql.now()},
            (SELECT min(expires_at) FROM ledger_taskrun
                WHERE state IN ('pending', 'queued') AND expires_at IS NOT NULL)
                < {sql.now()},
            (SELECT min(rung_at) FROM ledger_taskrun
                WHERE state = 'queued') < {sql.from_now()}
        """,
        [-env.LEDGER_LOST_SECONDS],
    )
    return _Todo(*(bool(column) for column in found))


def ring_due() -> bool:
    """Ring for runs whose time has come, and for those that the broker did not take."""
    due = f"state = 'pending' AND lane = '' AND run_at <= {sql.now()}"
    if not _ring(_take(f"{due} AND crashes < {SUSPECT_CRASHES}", order="run_at")):
        return False
    alone = f"""
        {due} AND crashes >= {SUSPECT_CRASHES} AND NOT EXISTS (
            SELECT 1 FROM ledger_taskrun AS other
            WHERE other.queue = ledger_taskrun.queue
                AND (other.state = 'queued' AND other.crashes + 1 >= {SUSPECT_CRASHES}
                    OR other.state = 'running' AND other.crashes >= {SUSPECT_CRASHES})
        )
        """
    # A start counts as a crash until it ends: what is queued is one crash behind.
    with transaction.atomic():
        # First and by itself, so that the next statement sees what the last holder has rung.
        if not sql.lock_if_free(SUSPECTS_LOCK):
            return True
        chosen = _take(alone, order="run_at, id", limit=1)
    return _ring(chosen)


def ring_next() -> bool:
    """Ring for runs in lanes whose turn has come."""
    for lane in lanes.occupied():
        ids = lanes.next_of(lane)
        if not ids:
            continue
        chosen = f"state = 'pending' AND id IN ({sql.placeholders(ids)})"
        calls = _take(chosen, [*ids], order="run_at")
        if not _ring(sorted(calls, key=lambda call: ids.index(call.id))):
            return False
    return True


def ring_lapsed() -> bool:
    """Ring for runs whose worker let the lease lapse; the row's WHERE frees it once."""
    return _ring(
        _take(
            f"state = 'running' AND lease_until < {sql.now()}"
            f" AND crashes < {SUSPECT_CRASHES}",
            order="lease_until",
        )
    )


def put_suspects_aside() -> int:
    """Let runs that crashed repeatedly wait until they can be started alone."""
    return sql.execute(
        f"""
        UPDATE ledger_taskrun
        SET state = 'pending', lane = '', lease_until = NULL, run_at = {sql.now()}
        WHERE state = 'running' AND lease_until < {sql.now()}
            AND crashes >= {SUSPECT_CRASHES} AND crashes < %s
        """,
        [env.LEDGER_MAX_CRASHES],
    )


def _search_lost() -> bool:
    """Ring for lost messages, but not all the time: in a large backlog the search is long."""
    global _rest_until
    started = time.monotonic()
    if started < _rest_until:
        return True
    rung = ring_lost()
    took = time.monotonic() - started
    if took > LONG_SEARCH_SECONDS:
        _rest_until = started + REST_FACTOR * took
    return rung


def ring_lost() -> bool:
    """Ring again for runs whose message got lost, queue by queue.

    Queued rows and an empty queue mean that messages are lost. Rows that are merely older
    than some seconds mean nothing: ringing for them would multiply a backlog.
    """
    waiting = sql.fetch(
        f"""
        SELECT DISTINCT queue FROM ledger_taskrun
        WHERE state = 'queued' AND rung_at < {sql.from_now()}
        """,
        [-env.LEDGER_LOST_SECONDS],
    )
    for (queue,) in waiting:
        try:
            empty = doorbell.messages_in(queue) == 0
        except Exception as error:
            log.warning("broker does not tell the length of %s: %r", queue, error)
            return False
        if empty:
            age, parameters = sql.from_now(), [queue, -env.LEDGER_LOST_SECONDS]
        else:
            patience = (
                f"-%s * (1 << (CASE WHEN rings < {MAX_DOUBLINGS} THEN rings"
                f" ELSE {MAX_DOUBLINGS} END))"
            )
            age = sql.later(patience)
            parameters = [queue, BACKLOG_FACTOR * env.LEDGER_LOST_SECONDS]
        unclaimed = f"state = 'queued' AND queue = %s AND rung_at < {age}"
        rows = _take(unclaimed, parameters, order="rung_at")
        if rows:
            log.warning("%d lost messages of %s rung again", len(rows), queue)
        if not _ring(rows):
            return False
    return True


def _take(
    where: str,
    parameters: list[object] | None = None,
    *,
    order: str,
    limit: int = ROWS_PER_STEP,
) -> list[Call]:
    """Mark rows as rung; of several relays, each row goes to one.

    Materialized, because PostgreSQL may execute a subquery once per row, and then takes
    more rows than its LIMIT. The WHERE clause stands in the UPDATE again, because another
    relay may have changed a row between the SELECT and the lock.
    """
    values = parameters or []
    rows = sql.fetch(
        f"""
        WITH taken AS MATERIALIZED (
            SELECT id FROM ledger_taskrun WHERE {where}
            ORDER BY {order} LIMIT {limit} {sql.for_update()}
        )
        UPDATE ledger_taskrun
        SET state = 'queued', rung_at = {sql.now()}, lease_until = NULL,
            rings = rings + CASE WHEN state = 'queued' THEN 1 ELSE 0 END
        WHERE id IN (SELECT id FROM taken) AND {where}
        RETURNING id, name, queue, args, kwargs, options, call_number
        """,
        [*values, *values],
    )
    return [
        Call(id, name, queue, loads(args), loads(kwargs), loads(options), number=number)
        for id, name, queue, args, kwargs, options, number in rows
    ]


def _ring(calls: list[Call]) -> bool:
    """Publish; the first attempt is made even though the breaker is open."""
    if not calls:
        return True
    if not doorbell.ring(calls[0], force=True):
        doorbell.park(calls)
        return False
    return doorbell.ring_or_park(calls[1:])
