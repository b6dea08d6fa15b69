"""One structured log line for everything that happens to a task.

Each line has the task's name and id, its root and parent, queue and attempt; the last one
also how long the task waited and ran. Arguments are logged as their types only, because
they may be personal; what exceptions say of them is redacted, too. The request id travels in
the message, from the web request through every task that it caused.
"""

import time
from typing import Any

import structlog
from celery import Task, signals

from app.services.errors import PermanentError, TransientError
from config.logs import REQUEST_ID
from config.redaction import hide_arguments
from ledger.call import before_enqueue

log = structlog.stdlib.get_logger("app.tasks")

# Prefixed like `REQUEST_ID`, and for the same reason.
ENQUEUED_AT = "service_enqueued_at"


def connect() -> None:
    """Connect the handlers; calling it again changes nothing."""
    # A durable run may be published later, by another process: the id is stored with it.
    before_enqueue.connect(_add_request_id, dispatch_uid="monitoring")
    signals.before_task_publish.connect(_add_headers, dispatch_uid="monitoring")
    signals.task_prerun.connect(_started, dispatch_uid="monitoring")
    signals.task_postrun.connect(_ended, dispatch_uid="monitoring")
    signals.task_retry.connect(_retried, dispatch_uid="monitoring")
    signals.task_failure.connect(_failed, dispatch_uid="monitoring")
    signals.task_revoked.connect(_revoked, dispatch_uid="monitoring")
    signals.task_unknown.connect(_unknown, dispatch_uid="monitoring")


def describe(arguments: object) -> object:
    """Return the arguments with every value replaced by the name of its type."""
    if isinstance(arguments, dict):
        return {key: type(value).__name__ for key, value in arguments.items()}
    if isinstance(arguments, list | tuple):
        return [type(value).__name__ for value in arguments]
    return type(arguments).__name__


def _add_request_id(headers: dict[str, Any], **kwargs: Any) -> None:
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if request_id:
        headers.setdefault(REQUEST_ID, request_id)


def _add_headers(headers: dict[str, Any], **kwargs: Any) -> None:
    _add_request_id(headers)
    headers.setdefault(REQUEST_ID, headers.get("root_id"))
    headers[ENQUEUED_AT] = time.time()


def _started(task: Task[Any, Any], args: Any, kwargs: Any, **extra: Any) -> None:
    request = task.request
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(
        request_id=request.get(REQUEST_ID) or request.root_id,
        task=task.name,
        task_id=request.id,
        root_id=request.root_id,
        parent_id=request.parent_id,
        queue=(request.delivery_info or {}).get("routing_key"),
        attempt=(request.retries or 0) + 1,
    )
    hide_arguments(args, kwargs)
    now = time.time()
    request.update(service_started_at=now)
    waiting = round(max(0.0, now - request.get(ENQUEUED_AT, now)), 3)
    log.info(
        "task started",
        waiting_seconds=waiting,
        arguments=describe(args),
        keywords=describe(kwargs),
    )


def _ended(task: Task[Any, Any], state: str | None, **extra: Any) -> None:
    now = time.time()
    running = round(now - task.request.get("service_started_at", now), 3)
    log.info("task ended", state=state, running_seconds=running)
    structlog.contextvars.clear_contextvars()
    hide_arguments()


def _retried(reason: Any, **extra: Any) -> None:
    cause = getattr(reason, "exc", None) or reason
    # Only our own messages are known to be fit for a log.
    ours = isinstance(cause, TransientError | PermanentError)
    log.warning(
        "task will be retried",
        reason=type(cause).__name__,
        message=str(cause) if ours else None,
        again=reason.humanize(),
    )


def _failed(exception: BaseException, **extra: Any) -> None:
    log.error("task failed", error=type(exception).__name__, exc_info=exception)


def _revoked(request: Any, terminated: bool, expired: bool, **extra: Any) -> None:
    log.warning(
        "task revoked",
        request_id=request.get(REQUEST_ID) or request.root_id,
        task=request.task,
        task_id=request.id,
        terminated=terminated,
        expired=expired,
    )


def _unknown(name: str, id: str, message: Any, **extra: Any) -> None:
    headers = message.headers or {}
    log.warning(
        "task unknown to this worker",
        request_id=headers.get(REQUEST_ID) or headers.get("root_id"),
        task=name,
        task_id=id,
    )
