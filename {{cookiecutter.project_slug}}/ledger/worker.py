"""Connect the ledger to Celery's workers, by their signals."""

import socket
import threading
import time
from typing import Any

import psycopg.connection
from celery import Task, signals
from celery.exceptions import SoftTimeLimitExceeded
from django.db import connections

from ledger import (
    doorbell,
    health,
    heartbeat,
    lease,
    relay,
    shutdown,
    sql,
    workers,
)
from ledger.states import State
from ledger.task import DurableTask, claim_of

# Seconds to wait for a thread that is in the middle of a statement.
STOP_SECONDS = 2

_stop = threading.Event()
_threads: list[threading.Thread] = []


def connect() -> None:
    """Connect the handlers; calling it again changes nothing."""
    for signal, handler in (
        (signals.worker_init, _name_worker),
        (signals.worker_init, _end_queries_at_soft_limits),
        (signals.worker_ready, _start_threads),
        (signals.worker_shutting_down, _shut_down),
        (signals.worker_shutdown, _stop_threads),
        (signals.beat_init, _watch_beat),
        (signals.task_prerun, _use_sound_connection),
        (signals.task_prerun, _forget_adopted),
        (signals.task_success, _commit),
        (signals.task_failure, _fail),
        (signals.task_postrun, _close_claim),
    ):
        signal.connect(handler, dispatch_uid=f"ledger.{handler.__name__}")


def _name_worker(sender: Any, **kwargs: Any) -> None:
    lease.Worker.start(sender.hostname)


def _end_queries_at_soft_limits(**kwargs: Any) -> None:
    """Let psycopg cancel the query that a soft time limit interrupts, as it does for Ctrl-C.

    Else the connection stays in the middle of it: neither can the task clean up, nor can
    its failure be stored. https://github.com/psycopg/psycopg/blob/3.3.9/psycopg/psycopg/connection.py
    """
    known = psycopg.connection._INTERRUPTED
    psycopg.connection._INTERRUPTED = (*{*known, SoftTimeLimitExceeded},)  # type: ignore[assignment]  # it has no setting


def _start_threads(sender: Any, **kwargs: Any) -> None:
    _stop.clear()
    _threads[:] = [heartbeat.start(_stop, sender), relay.start(_stop)]
    health.watch(*_threads)
    shutdown.start(release=_stop_threads)


def _shut_down(**kwargs: Any) -> None:
    """Let the grace begin; inside a signal handler."""
    health.stop()
    shutdown.ask()


def _watch_beat(**kwargs: Any) -> None:
    health.start(f"beat@{socket.gethostname()}")


def _stop_threads(**kwargs: Any) -> None:
    _stop.set()
    relay.look_now()
    for thread in _threads:
        thread.join(STOP_SECONDS)
    lease.release_all()
    workers.leave()
    connections.close_all()


def _use_sound_connection(task: Task[Any, Any], **kwargs: Any) -> None:
    """Let a task begin with a connection that it can use.

    Pool processes keep their connections (`CELERY_DB_REUSE_MAX`). One that an earlier task
    left in a transaction would swallow the commits of all that follow. One that died in
    between is noticed by the claim, which connects again; Django's own check would cost a
    statement more for each task, and is made for plain tasks only.
    """
    if task.request.is_eager:
        return
    for connection in connections.all(initialized_only=True):
        obsolete = connection.close_at and time.monotonic() >= connection.close_at
        if connection.in_atomic_block:
            if not _is_test_transaction(connection):
                _forget(connection)
        elif (
            connection.errors_occurred or obsolete or not isinstance(task, DurableTask)
        ):
            connection.close_if_unusable_or_obsolete()


def _forget_adopted(task: Task[Any, Any], task_id: str, **kwargs: Any) -> None:
    """Drop the row of a plain task: it only kept its message until a worker knew it."""
    headers = task.request.headers or {}
    if doorbell.TOKEN in headers and not isinstance(task, DurableTask):
        sql.execute(
            "DELETE FROM ledger_taskrun WHERE id = %s AND state = 'queued'", [task_id]
        )


def _forget(connection: Any) -> None:
    connection.close()
    connection.in_atomic_block = False
    connection.savepoint_ids = []
    connection.atomic_blocks = []
    connection.needs_rollback = False
    connection.closed_in_transaction = False
    connection.connection = None


def _is_test_transaction(connection: Any) -> bool:
    blocks = getattr(connection, "atomic_blocks", [])
    return any(getattr(block, "_from_testcase", False) for block in blocks)


def _commit(sender: Task[Any, Any], **kwargs: Any) -> None:
    """Commit for result backends that know nothing of claims (`redis://`)."""
    held = claim_of(sender.request)
    if held is not None:
        held.commit()


def _fail(
    sender: Task[Any, Any], exception: BaseException, einfo: Any, **kwargs: Any
) -> None:
    """End the run for result backends that know nothing of claims (`redis://`)."""
    from ledger.unstarted import describe

    held = claim_of(sender.request)
    if held is None or held.ended or held.lost:
        return
    held.rollback()
    held.finish(State.FAILED, reason=describe(exception), traceback=str(einfo))


def _close_claim(task: Task[Any, Any], **kwargs: Any) -> None:
    held = claim_of(task.request)
    if held is not None:
        held.close()
