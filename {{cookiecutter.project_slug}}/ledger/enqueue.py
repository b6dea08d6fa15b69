"""How a run begins: as a row in the caller's own transaction.

What the caller rolls back was never enqueued; what it commits is never lost, whatever
happens to the message that is published afterwards. A group goes in all or nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from celery.app.task import Context
from django.db import transaction
from kombu.utils.json import loads

from ledger import columns, doorbell, lanes, sql, unstarted
from ledger.call import COLUMNS, Call
from ledger.states import ACTIVE, State

# Rows of one INSERT: many enough that the round trip no longer counts, and few enough for
# SQLite's limit of 32,766 parameters: https://www.sqlite.org/limits.html#max_variable_number
ROWS_PER_INSERT = 500


def insert(call: Call) -> str:
    """Store a call in the caller's transaction and ring when that commits.

    Inside `batch()` it is stored at the end of the batch.

    Returns:
        The id of the run that stands for the call: the call's own, or that of the active
        run which already has its unique key.

    Raises:
        ValueError: if its id is that of another call.
    """
    waiting = _batch.get()
    if call.unique_key is not None:
        return _insert_unique(call)
    if waiting is not None:
        waiting.calls.append(call)
    else:
        _insert_all([call])
    return call.id


def adopt(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], request: Context
) -> None:
    """Store the run of a message that arrived without one, if there is none.

    Args:
        name: of the task.
        args: positional arguments of the message.
        kwargs: keyword arguments of the message.
        request: what else the message says.
    """
    _insert_rows([columns.received(name, args, kwargs, request)], ring=False)


class _Batch:
    """What a block enqueues, to be stored and sent together."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.with_calls: list[Callable[[], object]] = []
        self.after_commit: list[Callable[[], object]] = []


@contextmanager
def batch() -> Iterator[None]:
    """Collect the calls of this block and store them together: all of them, or none."""
    if _batch.get() is not None:
        yield  # part of a larger batch
        return
    collected = _Batch()
    token = _batch.set(collected)
    try:
        yield
    finally:
        _batch.reset(token)
    _insert_all(collected.calls, collected.with_calls)
    for action in collected.after_commit:
        transaction.on_commit(action)


def with_batch(statement: Callable[[], object]) -> None:
    """Execute a statement together with the calls of this batch, at once if there is none."""
    collected = _batch.get()
    if collected is None:
        statement()
    else:
        collected.with_calls.append(statement)


def after_commit(action: Callable[[], object]) -> None:
    """Do something once the calls of this batch and this transaction are committed."""
    collected = _batch.get()
    if collected is None:
        transaction.on_commit(action)
    else:
        collected.after_commit.append(action)


_batch: ContextVar[_Batch | None] = ContextVar("ledger_batch", default=None)


def _insert_all(
    calls: list[Call], statements: Sequence[Callable[[], object]] = ()
) -> None:
    if len(calls) == 1 and not statements:
        _insert_rows(calls)
    elif calls or statements:
        with transaction.atomic():
            for statement in statements:
                statement()
            for start in range(0, len(calls), ROWS_PER_INSERT):
                _insert_rows(calls[start : start + ROWS_PER_INSERT])


def _insert_rows(calls: list[Call], *, ring: bool = True) -> bool:
    """Insert rows and ring for them on commit; return whether any of them is new.

    DO NOTHING: an id that exists is a call that was made before, and its row is the truth.
    The one exception is a row that waits for just this call: see `_take_over`.
    """
    rows: list[str] = []
    parameters: list[object] = []
    for call in calls:
        state, given = _state(call, alone=len(calls) == 1) if ring else _QUEUED
        values = (call.id, *call.columns(), call.unique_key)
        values += (call.options.get("group_id"), call.options.get("group_index"))
        parameters += (*values, call.delay, call.expires_in, *given)
        rows.append(
            f"({sql.placeholders(values)}, {sql.from_now()}, {sql.from_now()}, {state})"
        )
    inserted = sql.fetch(
        f"""
        INSERT INTO ledger_taskrun
            (id, {", ".join(COLUMNS)}, unique_key, group_id, group_index,
             run_at, expires_at, state)
        VALUES {", ".join(rows)}
        ON CONFLICT DO NOTHING
        RETURNING id, state
        """,
        parameters,
    )
    states = dict(inserted)
    to_ring = [call for call in calls if states.get(call.id) == State.QUEUED]
    taken_over: list[Call] = []
    if len(states) < len(calls):
        known = [call for call in calls if call.id not in states]
        taken_over = [call for call in map(_take_over, known) if call]
        to_ring += [call for call in taken_over if call.first_state() == State.QUEUED]
        others = {call.id for call in calls} - {call.id for call in taken_over}
        if ring and others:
            _compare([call for call in calls if call.id in others])
    if ring:
        doorbell.ring_on_commit(to_ring)
    return bool(states or taken_over)


_QUEUED: tuple[str, list[object]] = ("%s", [State.QUEUED.value])


def _state(call: Call, *, alone: bool) -> tuple[str, list[object]]:
    """Return the SQL for the state in which a call is stored, and its parameters.

    One that needs its turn is rung at once all the same if it is alone: in the statement
    that stores it, so that it costs none.
    """
    state = call.first_state()
    if not (alone and call.may_be_first()):
        return "%s", [state.value]
    idle = f"CASE WHEN {lanes.is_idle()} THEN 'queued' ELSE 'pending' END"
    return idle, lanes.idle_for(call.lane)


# What follows from the end of a run.
_CONSEQUENCES = ("chain", "chord", "link", "link_error", "group_id", "group_index")


def _compare(calls: list[Call]) -> None:
    """Compare calls with what is stored under their ids.

    An id names one run. The same call made twice, as by a plain task that was delivered
    twice, is that run. A different one would be dropped without a word, and what is to
    follow from it would be waited for in vain. A run that was revoked before it was
    enqueued, or taken over after it was replaced, stays so, and what is to follow ends
    with it.

    Raises:
        ValueError: if a call is another one, such as a signature that was frozen and is
            used twice.
    """
    ids = [call.id for call in calls]
    rows = sql.fetch(
        f"""
        SELECT id, name, options FROM ledger_taskrun
        WHERE call_number = 0 AND (name = '' OR state <> 'cancelled')
            AND id IN ({sql.placeholders(ids)})
        """,
        ids,
    )
    stored = {id: (name, loads(options)) for id, name, options in rows}
    for call in calls:
        name, options = stored.get(call.id, (call.name, {}))
        if name == "":
            unstarted.follow(call.id, call.columns())
        elif options and _meaning(name, options) != _meaning(
            call.name, loads(str(call.columns()[-1]))
        ):
            raise ValueError(
                f"{call.id} is the id of another call of {call.name}: an id names one run"
            )


def _meaning(name: str, options: Mapping[str, Any]) -> tuple[Any, ...]:
    return (name, *(options.get(option) for option in _CONSEQUENCES))


def _insert_unique(call: Call) -> str:
    """Insert a call unless an active run has its key.

    The unique index decides between concurrent callers: the second one waits for the
    first to commit, inserts nothing and finds its row. That row may end in between; then
    the key is free and the insert is tried again.
    """
    active = sql.in_states(*sorted(ACTIVE))
    while True:
        if _insert_rows([call]):
            return call.id
        holder = sql.fetch(
            f"SELECT id FROM ledger_taskrun WHERE unique_key = %s AND {active}",
            [call.unique_key],
        )
        if holder:
            return str(holder[0][0])
        if sql.fetch("SELECT 1 FROM ledger_taskrun WHERE id = %s", [call.id]):
            return call.id


def _take_over(call: Call) -> Call | None:
    """Put a call into the row of a run that it completes (the last one of a replacement).

    The row of a plain task that was replaced says that it is running, without a lease.
    """
    taken = sql.fetch(
        f"""
        UPDATE ledger_taskrun
        SET {sql.assign(COLUMNS)}, state = %s,
            run_at = {sql.from_now()}, expires_at = {sql.from_now()},
            rung_at = {sql.now()}, call_number = call_number + 1
        WHERE id = %s AND (state = 'replaced'
            OR state = 'running' AND lease_until IS NULL)
        RETURNING call_number
        """,
        (
            *call.columns(),
            call.first_state().value,
            call.delay,
            call.expires_in,
            call.id,
        ),
    )
    return replace(call, number=taken[0][0]) if taken else None
