"""How a run begins: as a row in the caller's own transaction.

What the caller rolls back was never enqueued; what it commits is never lost, whatever
happens to the message that is published afterwards. A group goes in all or nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from celery.app.task import Context
from django.db import transaction
from kombu.utils.json import loads

from ledger import doorbell, sql, unstarted
from ledger.call import Call
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
        waiting.append(call)
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
    options = request.as_execution_options()
    options["ignore_result"] = request.ignore_result
    _insert_rows(
        [
            Call(
                id=options.pop("task_id"),
                name=name,
                queue=(request.delivery_info or {}).get("routing_key") or "",
                args=args,
                kwargs=kwargs,
                options={key: value for key, value in options.items() if value},
            )
        ],
        ring=False,
    )


@contextmanager
def batch() -> Iterator[None]:
    """Collect the calls of this block and store them together: all of them, or none."""
    if _batch.get() is not None:
        yield  # part of a larger batch
        return
    calls: list[Call] = []
    token = _batch.set(calls)
    try:
        yield
    finally:
        _batch.reset(token)
    if calls:
        _insert_all(calls)


_batch: ContextVar[list[Call] | None] = ContextVar("ledger_batch", default=None)


def _insert_all(calls: list[Call]) -> None:
    if len(calls) == 1:
        _insert_rows(calls)
        return
    with transaction.atomic():
        for start in range(0, len(calls), ROWS_PER_INSERT):
            _insert_rows(calls[start : start + ROWS_PER_INSERT])


def _insert_rows(calls: list[Call], *, ring: bool = True) -> bool:
    """Insert rows and ring for them on commit; return whether any of them is new.

    DO NOTHING: an id that exists is a call that was made before, and its row is the truth.
    The one exception is a row that waits for just this call: see `_take_over`.
    """
    state = {call.id: call.first_state() if ring else State.QUEUED for call in calls}
    row = (
        "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
        f" {sql.from_now()}, {sql.from_now()})"
    )
    parameters: list[object] = []
    for call in calls:
        parameters += (call.id, *call.columns(), state[call.id].value, call.unique_key)
        parameters += (call.options.get("group_id"), call.options.get("group_index"))
        parameters += (call.delay, call.expires_in)
    inserted = sql.fetch(
        f"""
        INSERT INTO ledger_taskrun
            (id, name, queue, args, kwargs, options, state, unique_key,
             group_id, group_index, run_at, expires_at)
        VALUES {", ".join([row] * len(calls))}
        ON CONFLICT DO NOTHING
        RETURNING id
        """,
        parameters,
    )
    new = {str(id) for (id,) in inserted}
    stored = [call for call in calls if call.id in new]
    if len(new) < len(calls):
        known = [call for call in calls if call.id not in new]
        taken = [call for call in map(_take_over, known) if call]
        stored += taken
        others = {call.id for call in calls} - {call.id for call in taken}
        if ring and others:
            _compare([call for call in calls if call.id in others])
    if ring:
        doorbell.ring_on_commit(
            [call for call in stored if state[call.id] == State.QUEUED]
        )
    return bool(stored)


# What follows from the end of a run.
_CONSEQUENCES = ("chain", "chord", "link", "link_error", "group_id", "group_index")


def _compare(calls: list[Call]) -> None:
    """Compare calls with what is stored under their ids.

    An id names one run. The same call made twice, as by a plain task that was delivered
    twice, is that run. A different one would be dropped without a word, and what is to
    follow from it would be waited for in vain. A run that was revoked before it was
    enqueued stays so, and what is to follow ends with it.

    Raises:
        ValueError: if a call is another one, such as a signature that was frozen and is
            used twice.
    """
    ids = [call.id for call in calls]
    rows = sql.fetch(
        f"""
        SELECT id, name, options FROM ledger_taskrun
        WHERE call_number = 0 AND id IN ({sql.placeholders(ids)})
        """,
        ids,
    )
    stored = {id: (name, loads(options)) for id, name, options in rows}
    for call in calls:
        name, options = stored.get(call.id, (call.name, {}))
        if name == "":
            unstarted.follow(call.id, call.columns())
        elif options and _meaning(name, options) != _meaning(
            call.name, loads(call.columns()[-1])
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
    """Put a call into the row of a run that it completes (the last one of a replacement)."""
    taken = sql.fetch(
        f"""
        UPDATE ledger_taskrun
        SET name = %s, queue = %s, args = %s, kwargs = %s, options = %s, state = %s,
            run_at = {sql.from_now()}, expires_at = {sql.from_now()},
            rung_at = {sql.now()}, call_number = call_number + 1
        WHERE id = %s AND state = 'replaced'
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
