"""Structured logs on stdout, and the request id that ties them together.

JSON in production, readable lines on a terminal. One request id follows a piece of work
from the HTTP request through every task that it causes; `app/tasks/utils/monitoring.py`
carries it across the broker.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

import structlog
from django.http import HttpRequest, HttpResponse
from structlog.typing import EventDict, Processor, WrappedLogger

from config.redaction import Scrubber, redact

REQUEST_ID_HEADER = "X-Request-ID"

# The same in a message. Celery makes headers attributes of `task.request`: the prefix avoids
# a clash.
REQUEST_ID = "service_request_id"

_log = structlog.stdlib.get_logger("web")
_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def for_people(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Keep what a person reads on a terminal (a structlog processor)."""
    for key in ("root_id", "parent_id", "request_id", "arguments", "keywords"):
        event.pop(key, None)
    if task := event.pop("task", None):
        event["event"] += f": {task.rpartition('.')[2]}"
    return event


class NotPerTask(logging.Filter):
    """Drops Celery's own line per task, which shows the arguments.

    `app/tasks/utils/monitoring.py` says the same without them. Those lines, and no others of
    their logger, carry `data`:
    https://github.com/celery/celery/blob/v5.6.0/celery/app/trace.py
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return not hasattr(record, "data")


class NotOfNextVersion(logging.Filter):
    """Drops what Celery says of its version 6 each time that it loses the broker.

    Nothing is to be done: a run goes on without the broker, and its end is stored in the
    database. Celery switches its own filter for warnings back on, so that none of ours helps.
    https://github.com/celery/celery/blob/v5.6.0/celery/app/log.py (`setup`)
    """

    def filter(self, record: logging.LogRecord) -> bool:
        setting = "worker_cancel_long_running_tasks_on_connection_loss"
        return setting not in record.getMessage()


class NotEverySecond(logging.Filter):
    """Drops what a loop has said in the last 30 seconds: a server is down for longer."""

    LOOPS = frozenset(
        {"ledger.doorbell", "ledger.heartbeat", "ledger.relay", "ledger.schedule"}
    )
    PAUSE_SECONDS = 30.0

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name not in self.LOOPS:
            return True
        after = record.created - self.PAUSE_SECONDS
        self._said = {text: at for text, at in self._said.items() if at > after}
        text = (record.name, record.getMessage())
        return self._said.setdefault(text, record.created) == record.created


class NotOfReadiness(logging.Filter):
    """Drops Django's error for `/readyz` that says no: it is an answer, asked for often."""

    def filter(self, record: logging.LogRecord) -> bool:
        path = getattr(getattr(record, "request", None), "path", "")
        return (path, getattr(record, "status_code", 0)) != ("/readyz", 503)


def logging_config(
    *, level: str, output: str, colours: bool = True, secrets: Iterable[str] = ()
) -> dict[str, Any]:
    """Return Django's `LOGGING` and configure structlog to match.

    Args:
        level: of the root logger, such as `INFO`.
        output: `json` for machines, `console` for people.
        colours: whether `console` has them.
        secrets: values that no line may show.

    Returns:
        A dictionary for `logging.config.dictConfig`; everything goes to stdout.
    """
    for_machines = output == "json"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        (
            structlog.processors.TimeStamper(fmt="iso", utc=True)
            if for_machines
            else structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
        ),
        redact,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    scrub = Scrubber(secrets)
    # Neither shows the local variables of a traceback, which may be personal or secret.
    renderers: list[Processor] = (
        [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            scrub,
            structlog.processors.JSONRenderer(sort_keys=True),
        ]
        if for_machines
        else [
            for_people,
            structlog.processors.format_exc_info,
            scrub,
            structlog.dev.ConsoleRenderer(
                colors=colours,
                exception_formatter=structlog.dev.plain_traceback,
                sort_keys=False,
            ),
        ]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *renderers,
                ],
            }
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "structured",
                "filters": ["not every second"],
            }
        },
        "root": {"handlers": ["stdout"], "level": level},
        "filters": {
            "not per task": {"()": NotPerTask},
            "not of next version": {"()": NotOfNextVersion},
            "not every second": {"()": NotEverySecond},
            "not of readiness": {"()": NotOfReadiness},
        },
        "loggers": {
            "celery.app.trace": {"filters": ["not per task"]},
            "celery.worker.strategy": {"level": "WARNING"},
            "py.warnings": {"filters": ["not of next version"]},
            # billiard's; it does not propagate, and without a handler it would be plain text.
            "multiprocessing": {
                "handlers": ["stdout"],
                "level": "WARNING",
                "propagate": False,
            },
            # Django's own handler and its line per 404 would repeat ours.
            "django": {"handlers": [], "level": "INFO"},
            "django.request": {"level": "ERROR", "filters": ["not of readiness"]},
        },
    }


class RequestIdMiddleware:
    """Log each request, and bind one id to all that it logs and causes.

    An id sent by a proxy in `X-Request-ID` is kept if it is 8 to 64 letters, digits,
    dots, underscores or dashes; anything else is replaced, because it ends up in logs.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.headers.get(REQUEST_ID_HEADER, "")
        request_id = sent if _ACCEPTABLE_ID.fullmatch(sent) else uuid4().hex
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            started = time.monotonic()
            response = self.get_response(request)
            _log.info(
                "request handled",
                method=request.method,
                path=request.path,
                status=response.status_code,
                running_seconds=round(time.monotonic() - started, 3),
            )
        response[REQUEST_ID_HEADER] = request_id
        return response
