"""Start a run again that ended without success, because a person says so.

It stays the same run, and becomes another call of it:
- One compare-and-set decides, so that a replay that is asked for twice happens once.
- Whoever has its id (a caller, a group, the next task of a chain) gets the new end, and
  external services see the same idempotency key.

What its end has caused is taken back as far as that is possible: the next tasks of its
chain may run after all, and a chord that still waits for others counts it again when it
ends. Errbacks have been called, and a chord that has failed stays failed.
"""

from collections.abc import Iterator
from typing import Any

from celery import current_app
from django.db import IntegrityError, transaction
from kombu.utils.json import dumps, loads

from ledger import doorbell, sql
from ledger.call import Call
from ledger.models import TaskRun
from ledger.refused import UNREADABLE
from ledger.states import REPLAYABLE, State

# Options of the last call that are not those of the next: it has all its retries again,
# and does not expire at a time that has passed.
_NOT_REPLAYED = ("retries", "expires")


class NotReplayable(Exception):
    """The run cannot be replayed; the message says why."""


def replay(run: TaskRun) -> bool:
    """Start a run again.

    Args:
        run: as the person has seen it.

    Returns:
        Whether it is started by this call; if not, it has changed in the meantime, because
        somebody else has replayed it.

    Raises:
        NotReplayable: if it did not end, or not without success, or can never start.
    """
    _check(run)
    options: dict[str, Any] = loads(run.options)
    call = Call(
        id=run.id,
        name=run.name,
        queue=run.queue,
        args=loads(run.args),
        kwargs=loads(run.kwargs),
        options={key: options[key] for key in options if key not in _NOT_REPLAYED},
        number=run.call_number + 1,
        priority=run.priority,
        lane=run.lane,
    )
    state = call.first_state()
    with transaction.atomic():
        if not _put_back(call, state):
            return False
        _count_again(options)
        for following in _chain_of(options):
            if _forget_unstarted(following):
                _count_again(following)
        if state == State.QUEUED:
            doorbell.ring_on_commit([call])
    return True


def is_of_failed_chord(run: TaskRun) -> bool:
    """Return whether a replay of the run starts no body, because its chord has failed."""
    options = loads(run.options)
    group = options.get("group_id")
    if not options.get("chord") or not group:
        return False
    return not sql.fetch("SELECT 1 FROM ledger_chordrun WHERE id = %s", [group])


def _check(run: TaskRun) -> None:
    if run.state not in REPLAYABLE:
        accepted = ", ".join(sorted(REPLAYABLE))
        raise NotReplayable(f"it is {run.state}; accepted: {accepted}")
    if run.name == UNREADABLE:
        raise NotReplayable("it is a message that cannot be read; have it sent again")
    if not run.queue:
        raise NotReplayable(
            "it was never enqueued, because a run before it failed; replay that one"
        )
    if run.name not in current_app.tasks:
        raise NotReplayable(f"this version of the code has no task {run.name}")


def _put_back(call: Call, state: State) -> bool:
    """Compare and set: of any number of replays, one finds the call before its own."""
    try:
        # A savepoint, because another run may have its unique key by now.
        with transaction.atomic():
            changed = sql.execute(
                f"""
                UPDATE ledger_taskrun
                SET state = %s, options = %s, call_number = call_number + 1, token = '',
                    crashes = 0, rings = 0, custom_state = '', progress = NULL,
                    result = NULL, traceback = NULL, children = NULL, reason = '',
                    run_at = {sql.now()}, rung_at = {sql.now()}, expires_at = NULL,
                    ended_at = NULL, refused_since = NULL
                WHERE id = %s AND call_number = %s
                    AND {sql.in_states(*sorted(REPLAYABLE))}
                """,
                [state.value, dumps(call.options), call.id, call.number - 1],
            )
    except IntegrityError:
        raise NotReplayable("another active run has its unique key") from None
    return changed == 1


def _count_again(options: dict[str, Any]) -> None:
    """Let a chord that still waits for others wait for this member again, too."""
    if options.get("chord") and options.get("group_id"):
        sql.execute(
            "UPDATE ledger_chordrun SET done = done - 1 WHERE id = %s AND done > 0",
            [options["group_id"]],
        )


def _forget_unstarted(options: dict[str, Any]) -> bool:
    """Delete the row that says that a task was never enqueued; it is written when it is.

    Not that of a task which a person has revoked, which has no name.
    """
    return bool(
        options.get("task_id")
        and sql.execute(
            """
            DELETE FROM ledger_taskrun
            WHERE id = %s AND (state = 'failed' OR state = 'cancelled' AND name <> '')
            """,
            [options["task_id"]],
        )
    )


def _chain_of(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the options of all tasks that Celery fails together with a run.

    https://github.com/celery/celery/blob/main/celery/backends/base.py (`_fail_chain`)
    """
    waiting = list(options.get("chain") or ())
    while waiting:
        task = waiting.pop(0)
        yield task.get("options") or {}
        if task.get("subtask_type") == "chord":
            body = (task.get("kwargs") or {}).get("body")
            waiting += [body] if body else []
