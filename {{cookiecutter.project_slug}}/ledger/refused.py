"""Messages that this worker cannot execute: it does not know the task, or cannot read them.

While a new version is rolled out, old workers get messages for tasks that only the new ones
know. Such a run waits and is rung again, ever more rarely, until it reaches a worker that
can start it. It is dead only when none could for `LEDGER_UNKNOWN_TASK_SECONDS`. What has no
run, and cannot even be read, becomes a dead run that keeps what was received.
"""

import logging
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from celery import current_app
from celery.app.task import Context
from celery.exceptions import NotRegistered
from kombu.utils.json import dumps

from config.env import env
from ledger import about, doorbell, enqueue, sql, unstarted
from ledger.call import seconds_until
from ledger.states import State

log = logging.getLogger(__name__)

# Seconds until a refused run is rung again: half of what it has been waiting, within these.
# While old and new workers share a queue, chance decides which of them gets the message.
MIN_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 30.0

# Of an unreadable message, so much is kept.
MAX_CHARACTERS = 64_000

# The name of a run that is nothing but an unreadable message.
UNREADABLE = "unreadable message"


def put_back(message: Any) -> None:
    """Let a run wait whose task this worker does not know.

    A message without a run (of a plain task, or sent by name) is given one first.

    Args:
        message: as it was received; `check` has found it readable.
    """
    request = _request_of(message)
    name: str = request.task  # type: ignore[attr-defined]  # not in its types
    number = _call_number(message)
    not_before = 0.0
    if number is None:
        enqueue.adopt(name, request.args or (), request.kwargs or {}, request)
        not_before = seconds_until(current_app, request.eta) or 0.0
    _refuse(str(request.id), number or 0, NotRegistered(name), not_before)


def bury(message: Any, error: Exception) -> None:
    """Keep a message that cannot be read as a dead run, with its body as the arguments.

    One that is about a run of its own is not needed: the run is what counts. It waits for
    a worker that can read its messages.

    Args:
        message: as it was received.
        error: what is wrong with it.
    """
    headers = message.headers if isinstance(message.headers, dict) else {}
    id = _text(headers.get("id") or _fingerprint(message), 255)
    number = _call_number(message)
    if number is not None:
        _refuse(id, number, error)
        return
    backend: Any = current_app.backend
    body = _text(message.body, MAX_CHARACTERS)
    received = {
        "body": body,
        "content_type": message.content_type,
        "content_encoding": message.content_encoding,
        "headers": _text(headers, MAX_CHARACTERS),
    }
    sql.execute(
        f"""
        INSERT INTO ledger_taskrun
            (id, name, queue, kwargs, state, result, reason, ended_at)
        VALUES (%s, %s, %s, %s, 'dead', %s, %s, {sql.now()})
        ON CONFLICT (id) DO NOTHING
        """,
        [
            id,
            UNREADABLE,
            _text((message.delivery_info or {}).get("routing_key") or "", 100),
            dumps(received),
            backend.encode(backend.prepare_exception(error)),
            _text(unstarted.describe(error), MAX_CHARACTERS),
        ],
    )
    log.error("message cannot be read: %r", error, extra=about.row(id))


def _refuse(id: str, number: int, error: Exception, not_before: float = 0.0) -> None:
    """Ring again later, or end the run; only for the call that the message was about.

    A run that has been started, has ended, or waits already is no concern of this message.
    """
    still_rung = f"state = 'queued' AND call_number = {int(number)}"
    rows = sql.fetch(
        f"""
        SELECT {sql.seconds_since("refused_since")} FROM ledger_taskrun
        WHERE id = %s AND {still_rung}
        """,
        [id],
    )
    if not rows:
        return
    waited = float(rows[0][0] or 0)
    if waited >= env.LEDGER_UNKNOWN_TASK_SECONDS:
        if unstarted.end(id, error, State.DEAD, only_if=still_rung):
            fields = about.row(id)
            log.error("run is dead: refused for %d s: %r", waited, error, extra=fields)
        return
    pause = min(max(MIN_PAUSE_SECONDS, waited / 2), MAX_PAUSE_SECONDS)
    sql.execute(
        f"""
        UPDATE ledger_taskrun
        SET state = 'pending', run_at = {sql.from_now()}, reason = %s,
            refused_since = COALESCE(refused_since, {sql.now()})
        WHERE id = %s AND {still_rung}
        """,
        [max(pause, not_before), unstarted.describe(error), id],
    )
    log.info(
        "run waits %.1f s for a worker that can start it: %r",
        pause,
        error,
        extra=about.row(id),
    )


def _request_of(message: Any) -> Context:
    """Return what a message says, whichever version of Celery's protocol it has.

    https://docs.celeryq.dev/en/stable/internals/protocol.html
    """
    payload = message.payload
    if not isinstance(payload, dict):
        args, kwargs, embedded = payload
        payload = {"args": args, "kwargs": kwargs, **embedded}
    said = {**(message.headers or {}), **payload}
    return Context({**said, "delivery_info": message.delivery_info})


def _call_number(message: Any) -> int | None:
    """Return which call of a run the message is about, None if it has no run."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    return headers.get(doorbell.CALL_NUMBER, 0) if doorbell.TOKEN in headers else None


def _fingerprint(message: Any) -> str:
    """Return an id that is the same when the same message is delivered again."""
    known = (message.properties or {}).get("correlation_id")
    return known or str(uuid5(NAMESPACE_OID, _text(message.body, MAX_CHARACTERS)))


def _text(value: Any, longest: int) -> str:
    """Return something as text that a database takes."""
    if isinstance(value, bytes | bytearray | memoryview):
        text = bytes(value).decode("utf-8", "backslashreplace")
    else:
        text = str(value)
    return sql.storable(text)[:longest]
