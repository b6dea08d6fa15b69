"""Forget what has ended long ago, a little at a time.

Each batch is a statement of its own, so that no lock is held for long, and says again in
its WHERE clause what may go: a run that a person replays in between stays.
"""

from collections.abc import Iterator
from typing import Any

from config.env import env
from ledger import sql
from ledger.states import FINAL, State

# Rows of one DELETE: some milliseconds, and far below SQLite's limit of parameters.
ROWS_PER_BATCH = 500


def prune() -> Iterator[int]:
    """Delete what is past its time, batch by batch.

    Runs that succeeded are kept for `LEDGER_KEEP_SECONDS`, those that did not for
    `LEDGER_KEEP_FAILED_SECONDS`. A member stays until its chord or group has ended.

    Yields:
        How many rows were deleted.
    """
    yield from _ended_runs()
    yield from _in_batches("ledger_taskrun", _ABANDONED, _keep_failed())
    yield from _in_batches("ledger_grouprun", _WITHOUT_MEMBERS, _keep())
    yield from _in_batches("ledger_chordrun", _WITHOUT_HOPE, _keep_failed())


def count() -> int:
    """Return how many ended runs are past their time."""
    found = sql.fetch(f"SELECT COUNT(*) FROM ledger_taskrun WHERE {_past()}")
    return int(found[0][0])


def _ended_runs() -> Iterator[int]:
    last: tuple[Any, ...] = ()
    while True:
        after = "AND (ended_at, id) > (%s, %s)" if last else ""
        rows = sql.fetch(
            f"""
            SELECT ended_at, id, group_id FROM ledger_taskrun WHERE {_past()} {after}
            ORDER BY ended_at, id LIMIT {ROWS_PER_BATCH}
            """,
            last,
        )
        if not rows:
            return
        last = rows[-1][:2]
        needed = _unfinished({group for _, _, group in rows if group})
        ids = [id for _, id, group in rows if group not in needed]
        if ids:
            yield sql.execute(
                f"""
                DELETE FROM ledger_taskrun
                WHERE id IN ({sql.placeholders(ids)}) AND {_past()}
                """,
                ids,
            )


def _unfinished(groups: set[str]) -> set[str]:
    """Return those of the groups whose results somebody still waits for."""
    if not groups:
        return set()
    ids = sql.placeholders(list(groups))
    found = sql.fetch(
        f"""
        SELECT id FROM ledger_chordrun WHERE id IN ({ids})
        UNION
        SELECT group_id FROM ledger_taskrun
        WHERE group_id IN ({ids}) AND {sql.not_final()}
        """,
        [*groups, *groups],
    )
    return {group for (group,) in found}


def _in_batches(table: str, condition: str, before: str) -> Iterator[int]:
    while deleted := sql.execute(f"""
        DELETE FROM {table} WHERE id IN (
            SELECT id FROM {table} AS old WHERE created_at < {before} AND {condition}
            LIMIT {ROWS_PER_BATCH}
        )
        """):
        yield deleted


# A plain task that began, and whose worker died: it has no lease that could lapse.
_ABANDONED = "state = 'running' AND lease_until IS NULL"

_WITHOUT_MEMBERS = (
    "NOT EXISTS (SELECT 1 FROM ledger_taskrun WHERE ledger_taskrun.group_id = old.id)"
)

# Nothing that could still end would count for it: a plain member got lost, for example. The
# options of a chain's tasks name the chord that its last one belongs to.
_WITHOUT_HOPE = f"""NOT EXISTS (
    SELECT 1 FROM ledger_taskrun WHERE {sql.not_final()}
        AND (group_id = old.id OR options LIKE '%%' || old.id || '%%')
)"""


def _past() -> str:
    """Return the SQL for runs past their time, in the wording of the index."""
    return (
        f"{sql.in_states(*sorted(FINAL))} AND ended_at < {_keep()} AND"
        f" (state = '{State.SUCCEEDED.value}' OR ended_at < {_keep_failed()})"
    )


def _keep() -> str:
    return sql.later(str(-env.LEDGER_KEEP_SECONDS))


def _keep_failed() -> str:
    return sql.later(str(-env.LEDGER_KEEP_FAILED_SECONDS))
