"""What the log says of runs that nobody executes is found by their request id, too."""

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError

from config.celery import app
from config.env import env
from ledger import refused, relay, sql
from ledger.claim import Claim
from ledger.lease import Worker
from ledger.models import TaskRun
from ledger.request import LedgerRequest
from tests.harness.effects.tasks import echo
from tests.harness.inline import InlineWorker, run_of

REQUEST = "from-the-web"


def process_killed(run: TaskRun, message: Any) -> None:
    assert Claim.take(run.id, message.headers["ledger_token"])
    sql.execute("UPDATE ledger_taskrun SET worker = %s", [Worker.name])
    try:
        raise WorkerLostError("signal 9")
    except WorkerLostError:
        request: Any = LedgerRequest(
            message, app=app, task=echo, on_ack=lambda *args: None
        )
        request.on_failure(ExceptionInfo())


def not_recorded(run: TaskRun, message: Any) -> None:
    request: Any = LedgerRequest(message, app=app, task=echo, on_ack=lambda *args: None)
    request._quietly(lambda: 1 / 0)


def started_too_often(run: TaskRun, message: Any) -> None:
    for _ in range(env.LEDGER_MAX_CRASHES):
        sql.execute(f"UPDATE ledger_taskrun SET run_at = {sql.now()}, state = 'queued'")
        assert Claim.take(run.id, "token")
        sql.execute(f"UPDATE ledger_taskrun SET lease_until = {sql.later('-1')}")
        relay.step()


def known_to_nobody(run: TaskRun, message: Any) -> None:
    sql.execute(
        f"UPDATE ledger_taskrun SET refused_since = {sql.later('-%s')}",
        [env.LEDGER_UNKNOWN_TASK_SECONDS + 1],
    )
    refused.put_back(message)


def refused_for_now(run: TaskRun, message: Any) -> None:
    refused.put_back(message)


@pytest.mark.parametrize(
    ("happens", "line"),
    [
        (process_killed, "process of the task is gone: WorkerLostError"),
        (not_recorded, "not recorded"),
        (started_too_often, "run is dead: started 3 times"),
        (known_to_nobody, "run is dead: refused for .* never registered"),
        (refused_for_now, "run waits 1.0 s for a worker that can start it"),
    ],
)
def test_line_about_a_run_that_nobody_executes_has_its_ids(
    worker: InlineWorker,
    caplog: pytest.LogCaptureFixture,
    happens: Callable[[TaskRun, Any], None],
    line: str,
) -> None:
    caplog.set_level(logging.INFO, logger="ledger")
    with structlog.contextvars.bound_contextvars(request_id=REQUEST):
        run = run_of(echo.delay("odd"))
    with app.connection_for_write() as connection:
        [message] = worker.messages(connection)

    happens(run, message)

    assert line_fields(caplog, line) == (REQUEST, echo.name, run.id, "fast")


def test_unreadable_message_is_logged_with_the_id_of_its_run(
    worker: InlineWorker, caplog: pytest.LogCaptureFixture
) -> None:
    echo.delay("odd")
    with app.connection_for_write() as connection:
        [message] = worker.messages(connection)
    message.headers = {"id": "sent"}

    refused.bury(message, ValueError("not JSON"))

    fields = ("sent", refused.UNREADABLE, "sent", "fast")
    assert line_fields(caplog, "message cannot be read") == fields


def line_fields(caplog: pytest.LogCaptureFixture, line: str) -> tuple[str, ...]:
    """Return the request id, task, task id and queue of the only line that begins so."""
    [record] = [
        one.__dict__ for one in caplog.records if re.match(line, one.getMessage())
    ]
    return tuple(
        record.get(key, "") for key in ("request_id", "task", "task_id", "queue")
    )
