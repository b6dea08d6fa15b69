"""Whatever ends without success is a row that says why, and with which arguments."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import chain
from kombu.utils.json import loads

from config.celery import app
from ledger import relay, sql
from ledger.claim import Claim
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.tasks import add, echo, fail, plain_fail, retried
from tests.harness.inline import InlineWorker, run_of


def failed(worker: InlineWorker) -> TaskRun:
    result = fail.delay("odd")
    worker.drain()
    return run_of(result)


def failed_plain(worker: InlineWorker) -> TaskRun:
    result = plain_fail.delay("odd")
    worker.drain()
    return run_of(result)


def out_of_retries(worker: InlineWorker) -> TaskRun:
    result = retried.delay(9, "odd")
    worker.drain()
    return run_of(result)


def poisoned(worker: InlineWorker) -> TaskRun:
    run = run_of(echo.delay("odd"))
    for _ in range(3):
        sql.execute(f"UPDATE ledger_taskrun SET run_at = {sql.now()}, state = 'queued'")
        assert Claim.take(run.id, "token")
        sql.execute(f"UPDATE ledger_taskrun SET lease_until = {sql.later('-1')}")
        relay.step()
    return run_of(run)


def expired(worker: InlineWorker) -> TaskRun:
    past = datetime.now(UTC) - timedelta(seconds=1)
    result = echo.apply_async(("odd",), expires=past)
    relay.step()
    return run_of(result)


def revoked(worker: InlineWorker) -> TaskRun:
    result = echo.apply_async(("odd",), countdown=60)
    app.control.revoke(result.id)
    return run_of(result)


def unpublishable(worker: InlineWorker) -> TaskRun:
    return run_of(echo.apply_async(("odd",), serializer="none such"))


@pytest.mark.parametrize(
    ("ended", "state", "attempts", "reason", "has_traceback"),
    [
        (failed, State.FAILED, 1, "ValueError: odd", True),
        (failed_plain, State.FAILED, 1, "ValueError: odd", True),
        (out_of_retries, State.FAILED, 6, "ValueError: not yet", True),
        (poisoned, State.DEAD, 3, "started 3 times", False),
        (expired, State.CANCELLED, 0, "expired", False),
        (revoked, State.CANCELLED, 0, "revoked", False),
        (unpublishable, State.FAILED, 0, "none such", True),
    ],
)
def test_dead_letter_has_reason_traceback_attempts_and_arguments(
    worker: InlineWorker,
    ended: Callable[[InlineWorker], TaskRun],
    state: State,
    attempts: int,
    reason: str,
    has_traceback: bool,
) -> None:
    run = ended(worker)

    assert (run.state, run.attempts) == (state, attempts)
    assert reason in run.reason
    assert bool(run.traceback) == has_traceback
    assert "odd" in run.args + run.kwargs
    assert run.queue == "fast"
    assert run.ended_at


def test_task_after_a_failed_one_says_so_with_its_own_arguments(
    worker: InlineWorker,
) -> None:
    workflow: Any = chain(fail.s("odd"), add.s(7))
    result = workflow()

    worker.drain()

    link = run_of(result)
    assert (link.state, link.attempts, link.queue) == (State.FAILED, 0, "")
    assert link.reason == "ValueError: odd"
    assert loads(link.args) == [7]
