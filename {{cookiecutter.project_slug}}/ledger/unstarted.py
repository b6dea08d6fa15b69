"""How a run ends that no process is executing: unpublishable, expired, revoked or dead.

What hangs on it follows as if a worker had ended it: chords get their part, chains fail,
errbacks are called.
"""

import logging
import traceback
from typing import Any

from celery import current_app
from celery.app.task import Context
from celery.exceptions import (
    SoftTimeLimitExceeded,
    TaskRevokedError,
    WorkerLostError,
)
from django.db import transaction
from kombu.utils.json import loads

from config.env import env
from ledger import about, sql
from ledger.call import COLUMNS
from ledger.claim import UNREACHABLE
from ledger.models import TaskRun
from ledger.states import State

# The mark of a request whose row this module has ended already.
ENDED = "ledger_ended"

ROWS_AT_ONCE = 200

log = logging.getLogger(__name__)


def end(
    id: str,
    error: BaseException,
    state: State = State.FAILED,
    *,
    only_if: str = "state IN ('pending', 'queued', 'replaced')",
) -> bool:
    """End a run, and all that hangs on it, in one transaction.

    If that is impossible, the run alone ends, and the log says so.

    Args:
        id: of the run.
        error: why; `get()` raises it.
        state: failed, dead or cancelled.
        only_if: SQL that must still hold for the row, because another relay, or the
            worker itself, may have been faster.

    Returns:
        Whether the run was ended by this call.
    """
    try:
        with transaction.atomic():
            if not _end(id, error, state, only_if):
                return False
            _follow(id, error, state)
    except (*UNREACHABLE, SoftTimeLimitExceeded):
        raise
    except Exception:
        # Else the relay would come back to this run for ever, and to no other.
        log.exception("what depends on %s did not follow", id)
        return _end(id, error, state, only_if)
    return True


def follow(id: str, call: tuple[object, ...]) -> None:
    """End what hangs on a run that was revoked before its call was known.

    Args:
        id: of the run.
        call: what the columns of `ledger.call.COLUMNS` hold.
    """
    changed = sql.execute(
        f"""
        UPDATE ledger_taskrun
        SET {sql.assign(COLUMNS)}
        WHERE id = %s AND name = '' AND state = 'cancelled'
        """,
        [*call, id],
    )
    if changed:
        _follow(id, TaskRevokedError("revoked"), State.CANCELLED)


def bury_poisoned() -> None:
    """End runs that have been started so often, and never came to an end, as dead."""
    lapsed = f"state = 'running' AND lease_until < {sql.now()} AND crashes >= "
    poisoned = sql.fetch(
        f"SELECT id, crashes FROM ledger_taskrun WHERE {lapsed} %s LIMIT {ROWS_AT_ONCE}",
        [env.LEDGER_MAX_CRASHES],
    )
    for id, crashes in poisoned:
        error = WorkerLostError(
            f"started {crashes} times, and its worker died each time"
        )
        only_if = f"{lapsed} {env.LEDGER_MAX_CRASHES}"
        if end(id, error, State.DEAD, only_if=only_if):
            log.error("run is dead: %s", error, extra=about.row(id))


def cancel_expired() -> None:
    """End runs that nobody started before they expired."""
    late = (
        "state IN ('pending', 'queued') AND expires_at IS NOT NULL"
        f" AND expires_at < {sql.now()}"
    )
    for (id,) in sql.fetch(
        f"SELECT id FROM ledger_taskrun WHERE {late} LIMIT {ROWS_AT_ONCE}"
    ):
        end(id, TaskRevokedError("expired"), State.CANCELLED, only_if=late)


def request_of(run: TaskRun) -> Context:
    """Return what Celery's backends want to know of a run, as if it were executing."""
    options: dict[str, Any] = loads(run.options)
    request = {
        "id": run.id,
        "task": run.name,
        "args": loads(run.args),
        "kwargs": loads(run.kwargs),
        "group": options.get("group_id"),
        "group_index": options.get("group_index"),
        "chord": options.get("chord"),
        "chain": options.get("chain"),
        "callbacks": _as_list(options.get("link")),
        "errbacks": _as_list(options.get("link_error")),
        "root_id": options.get("root_id"),
        "parent_id": options.get("parent_id"),
        "retries": options.get("retries", 0),
        "ignore_result": options.get("ignore_result", False),
        "delivery_info": {"routing_key": run.queue},
        "headers": options.get("headers") or {},
    }
    return Context(request)


def traceback_of(error: BaseException) -> str | None:
    """Return the traceback of an error, None if it was never raised."""
    if error.__traceback__ is None:
        return None
    return sql.storable("".join(traceback.format_exception(error)))


def describe(error: BaseException) -> str:
    """Return the reason that a person reads in a list of runs."""
    text = sql.storable(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _end(id: str, error: BaseException, state: State, only_if: str) -> bool:
    backend: Any = current_app.backend
    encoded = backend.encode(backend.prepare_exception(error))
    changed = sql.execute(
        f"""
        UPDATE ledger_taskrun
        SET state = %s, result = %s, reason = %s, custom_state = '',
            traceback = COALESCE(%s, traceback),
            lease_until = NULL, ended_at = {sql.now()}
        WHERE id = %s AND {only_if}
        """,
        [state.value, encoded, describe(error), traceback_of(error), id],
    )
    return changed == 1


def _follow(id: str, error: BaseException, state: State) -> None:
    backend: Any = current_app.backend
    request = request_of(TaskRun.objects.get(pk=id))
    request.update({ENDED: True})
    if isinstance(error, TaskRevokedError):
        backend.mark_as_revoked(id, str(error), request=request)
    else:
        backend.mark_as_failure(id, error, request=request)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
