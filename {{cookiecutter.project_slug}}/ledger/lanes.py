"""Lines in which runs wait in the table, so that the broker need not know any order.

A run of priority 0 without a rate limit is in no lane: its message is published at once,
and the broker's queue is first in, first out. All others wait as pending rows until the
relay lets them go: the most urgent first, only a few at a time, those of a limited task at
its rate. So what is urgent never stands behind a backlog of what is not, on any broker.

Runs age: each `LEDGER_AGEING_SECONDS` of waiting is worth one level of priority. One that
has come to level 0 goes at once, however long the queue is; so everything is started.
"""

import time
from typing import Any

from celery import current_app

from config.env import env
from ledger import limits, sql
from ledger.call import LEAST_URGENT

# Runs of a queue that may be rung and not started. In between, it is about twice what is
# started from one look of the relay to the next; the most is what one worker can start.
SMALLEST_WINDOW = 4
LARGEST_WINDOW = 100

# A relay that has let a limited run go looks again when the next may go, but not sooner;
# one that has filled a window which was half empty, after so many seconds.
SHORTEST_PAUSE_SECONDS = 0.02
REFILL_SECONDS = 0.05


def is_idle() -> str:
    """Return the SQL that nobody is waiting before a new run; parameters: `idle_for`.

    Such a run is rung when it is enqueued, as one that is in no lane.
    """
    return f"""NOT EXISTS (
            SELECT 1 FROM ledger_taskrun
            WHERE state = 'pending' AND lane = %s AND lane > ''
        ) AND NOT EXISTS (
            SELECT 1 FROM ledger_taskrun WHERE state = 'queued' AND queue = %s
        ) AND NOT EXISTS (
            SELECT 1 FROM ledger_ratelimit WHERE name = %s AND next_start > {sql.now()}
        )"""


def idle_for(lane: str) -> list[object]:
    """Return the parameters of `is_idle` for a lane."""
    queue, _, limited_task = lane.partition(" ")
    return [lane, queue, limited_task]


def occupied() -> list[str]:
    """Return the lanes in which somebody waits.

    One probe of the index per lane, however many rows are in it:
    https://wiki.postgresql.org/wiki/Loose_indexscan
    """
    waiting = "FROM ledger_taskrun WHERE state = 'pending' AND lane > ''"
    found = sql.fetch(f"""
        WITH RECURSIVE occupied (lane) AS (
            SELECT min(lane) {waiting}
            UNION ALL
            SELECT (SELECT min(lane) {waiting} AND lane > occupied.lane)
            FROM occupied WHERE lane IS NOT NULL
        )
        SELECT lane FROM occupied WHERE lane IS NOT NULL
        """)
    return [lane for (lane,) in found]


def next_of(lane: str) -> list[str]:
    """Return the runs of a lane that may go now, the most urgent first.

    Two relays may choose the same ones; each is then rung by one of them.
    """
    queue, _, limited_task = lane.partition(" ")
    declared = _declared_interval(limited_task)
    interval = declared and limits.interval_of(limited_task, declared)
    best = _best(lane, limits.BURST if interval else LARGEST_WINDOW)
    if not best:
        return []
    window, rung = _windows.setdefault(queue, Window()), _rung(queue)
    if not interval:
        window.adapt(rung)
    room = window.size - rung
    chosen = [id for place, (id, aged) in enumerate(best) if aged or place < room]
    if interval:
        return _limited(limited_task, interval, chosen)
    window.was_full = len(best) > len(chosen)
    if window.was_full and rung <= window.size // 2:
        _look_again_in(REFILL_SECONDS)
    return chosen


def pause(longest: float) -> float:
    """Return for how many seconds the relay may sleep before it looks again.

    Only who has just let runs go hurries: of many relays, about one does.

    Args:
        longest: how many it likes to.
    """
    global _next_look
    until, _next_look = _next_look - time.monotonic(), _NEVER
    return min(longest, max(until, SHORTEST_PAUSE_SECONDS))


class Window:
    """How many runs of a queue may be rung and not started: enough to keep it busy.

    It doubles when all have been started since the last look while others waited, and
    halves when more than half are left.
    """

    def __init__(self) -> None:
        self.size = SMALLEST_WINDOW
        self.was_full = False

    def adapt(self, rung: int) -> None:
        """Become larger or smaller after a look.

        Args:
            rung: how many of the queue are rung now, and not started.
        """
        if rung > self.size // 2 or not self.was_full:
            self.size = max(self.size // 2, SMALLEST_WINDOW)
        elif rung == 0:
            self.size = min(self.size * 2, LARGEST_WINDOW)


_windows: dict[str, Window] = {}

_NEVER = float("inf")

# By this process' own clock: when there may be something to let go again.
_next_look = _NEVER


def _look_again_in(seconds: float) -> None:
    global _next_look
    _next_look = min(_next_look, time.monotonic() + seconds)


def _limited(task: str, interval: float, ids: list[str]) -> list[str]:
    chosen = []
    for id in ids:
        if not limits.take_slot(task, interval, "next_ring"):
            break
        chosen.append(id)
        _look_again_in(interval)
    return chosen


def _declared_interval(task: str) -> float | None:
    known: Any = current_app.tasks.get(task)
    return getattr(known, "start_interval", None)


def _rung(queue: str) -> int:
    [[count]] = sql.fetch(
        f"""
        SELECT count(*) FROM (
            SELECT 1 FROM ledger_taskrun WHERE state = 'queued' AND queue = %s
            LIMIT {LARGEST_WINDOW}
        ) AS rung
        """,
        [queue],
    )
    return int(count)


def _best(lane: str, limit: int) -> list[tuple[str, bool]]:
    """Return the first runs of a lane by effective priority, and whether they are at 0.

    The oldest of each level, then the best of these: what is read does not grow with the
    number of those that wait.
    """
    levels = " UNION ALL ".join(f"""
        SELECT * FROM (
            SELECT id, priority, run_at FROM ledger_taskrun
            WHERE state = 'pending' AND lane = %s AND lane > ''
                AND priority = {level} AND run_at <= {sql.now()}
            ORDER BY run_at LIMIT {limit}
        ) AS level_{level}
        """ for level in range(LEAST_URGENT + 1))
    rows = sql.fetch(
        f"""
        SELECT id, priority * %s - {sql.seconds_since("run_at")} AS until_aged
        FROM ({levels}) AS levels
        ORDER BY until_aged LIMIT {limit}
        """,
        [env.LEDGER_AGEING_SECONDS, *[lane] * (LEAST_URGENT + 1)],
    )
    return [(id, until_aged <= 0) for id, until_aged in rows]
