"""How a run ends: retries, transactions, progress, and every kind of end."""

import json
from typing import Any

import pytest
from celery import chain
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeoutError
from django.db import connection

from config.celery import app
from ledger.claim import Claim
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import (
    add,
    atomic_add,
    atomic_effect,
    atomic_progress_seen_elsewhere,
    atomic_progressing,
    atomic_retried,
    atomic_then_enqueue,
    atomic_then_fail,
    autoretried,
    effect,
    ends_itself,
    fail,
    ignored_failure,
    not_json,
    plain_add,
    progressing,
    rejected,
    replaced_by,
    retried,
    retried_quietly,
    retried_unpicklable,
    retried_unseen,
)
from tests.harness.inline import InlineWorker, effects, run_of, waiting


def test_retry_is_the_same_run(worker: InlineWorker) -> None:
    result = retried.delay(2, "tried")

    worker.drain()

    assert result.get(timeout=1) == 2
    assert TaskRun.objects.count() == 1
    assert run_of(result).attempts == 3


def test_retry_waits_in_the_row_and_keeps_its_exception(worker: InlineWorker) -> None:
    result = retried.delay(1, wait=60)

    worker.drain(now=False)

    assert result.state == "RETRY"
    assert isinstance(result.info, ValueError)
    assert run_of(result).state == State.PENDING


def test_retry_keeps_an_exception_that_cannot_be_pickled(worker: InlineWorker) -> None:
    result = retried_unpicklable.delay()

    worker.drain(now=False)
    assert (result.state, "odd" in str(result.info)) == ("RETRY", True)

    worker.drain()
    assert result.get(timeout=1) == "done"


def test_retries_come_to_an_end(worker: InlineWorker) -> None:
    result = autoretried.delay(5)

    worker.drain()

    with pytest.raises(ValueError, match="not yet"):
        result.get(timeout=1)
    assert run_of(result).attempts == 3


def test_autoretry_succeeds(worker: InlineWorker) -> None:
    result = autoretried.delay(1)

    worker.drain()

    assert result.get(timeout=1) == 1


def test_retry_without_throw_is_one_completion(worker: InlineWorker) -> None:
    result = retried_quietly.apply_async(link=effect.si("linked"))

    worker.drain()

    assert result.get(timeout=1) == "after 1"
    assert Effect.objects.count() == 1


def test_idempotency_key_is_the_same_on_every_attempt(worker: InlineWorker) -> None:
    retried.delay(2, "tried")
    retried.delay(0, "tried")

    worker.drain()

    keys = list(Effect.objects.values_list("attempt_key", flat=True))
    assert (len(keys), len(set(keys))) == (4, 2)


def test_idempotency_key_needs_a_run() -> None:
    with pytest.raises(RuntimeError, match="called directly"):
        assert effect.idempotency_key


def test_atomic_effects_of_a_failure_are_undone(worker: InlineWorker) -> None:
    result = atomic_then_fail.delay("undone")

    worker.drain()

    assert run_of(result).state == State.FAILED
    assert not Effect.objects.exists()


def test_atomic_effects_of_a_retried_attempt_are_undone(worker: InlineWorker) -> None:
    result = atomic_retried.delay(2, "tried")

    worker.drain()

    assert result.get(timeout=1) == 2
    assert Effect.objects.count() == 1


@pytest.mark.parametrize("fails", [True, False])
def test_what_an_atomic_body_enqueues_commits_with_it(
    worker: InlineWorker, fails: bool
) -> None:
    atomic_then_enqueue.delay("child", fails)

    worker.drain()

    assert Effect.objects.count() == (0 if fails else 1)


def test_atomic_effect_and_end_of_the_run_are_one_commit(
    worker: InlineWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Claim, "finish", lambda self, state, **kwargs: False)
    result = atomic_effect.delay("late")
    with app.connection_for_write() as broker:
        [message] = worker.messages(broker)

    worker.execute(message)

    assert not Effect.objects.exists()
    assert run_of(result).state == State.RUNNING


def test_progress_is_visible_and_gone_at_the_end(worker: InlineWorker) -> None:
    result = progressing.delay()

    worker.drain()

    assert Effect.objects.get().key == "{'done': 3}"
    assert (result.state, result.info) == ("SUCCESS", "done")


def test_progress_in_a_transaction(worker: InlineWorker) -> None:
    result = atomic_progressing.delay()

    worker.drain()

    assert result.get(timeout=1) == "done"


def test_progress_in_a_transaction_is_seen_before_the_commit_on_postgresql(
    worker: InlineWorker,
) -> None:
    result = atomic_progress_seen_elsewhere.delay()

    worker.drain()

    seen = ["PROGRESS", '{"done": 3}']
    hidden = ["", None]  # SQLite has one writer, which is the transaction itself
    expected = seen if connection.vendor == "postgresql" else hidden
    assert result.get(timeout=1) == expected


def test_retry_of_a_task_whose_result_is_ignored(worker: InlineWorker) -> None:
    result = retried_unseen.delay("tried")

    worker.drain(now=False)
    assert (run_of(result).custom_state, run_of(result).state) == (
        "RETRY",
        State.PENDING,
    )

    worker.drain()
    assert effects() == ["tried 0", "tried 1"]


def test_failure_of_a_task_whose_result_is_ignored(worker: InlineWorker) -> None:
    result = ignored_failure.delay()

    worker.drain()

    run = run_of(result)
    assert (run.state, run.reason) == (State.FAILED, "ValueError: unwanted")
    assert "raise ValueError" in (run.traceback or "")


@pytest.mark.parametrize("task", [add, atomic_add], ids=["plain body", "atomic body"])
def test_late_result_starts_neither_callbacks_nor_the_rest_of_the_chain(
    worker: InlineWorker, monkeypatch: pytest.MonkeyPatch, task: Any
) -> None:
    chain(task.s(1, 1).set(link=effect.si("linked")), effect.si("next"))()
    with app.connection_for_write() as broker:
        [message] = worker.messages(broker)

    with monkeypatch.context() as refused:
        refused.setattr(Claim, "finish", lambda self, state, **kwargs: False)
        worker.execute(message)

    assert TaskRun.objects.count() == 1
    assert not waiting()


def test_failure_has_reason_traceback_and_arguments(worker: InlineWorker) -> None:
    result = fail.delay("broken")

    worker.drain()

    run = run_of(result)
    assert (run.state, run.reason) == (State.FAILED, "ValueError: broken")
    assert "raise ValueError" in (run.traceback or "")
    assert json.loads(run.args) == ["broken"]
    assert str(result.traceback) == run.traceback


def test_result_that_is_not_json_is_a_failure(worker: InlineWorker) -> None:
    result = not_json.delay()

    worker.drain()

    assert run_of(result).state == State.FAILED
    assert "EncodeError" in run_of(result).reason


def test_body_that_ignores_itself_ends_as_cancelled(worker: InlineWorker) -> None:
    result = ends_itself.delay()

    worker.drain()

    assert run_of(result).state == State.CANCELLED


def test_body_that_sets_its_own_failure_ends_as_that(worker: InlineWorker) -> None:
    result = ends_itself.delay("FAILURE")

    worker.drain()

    with pytest.raises(ValueError, match="own"):
        result.get(timeout=1)


def test_rejected_message_comes_back_as_redelivered(worker: InlineWorker) -> None:
    result = rejected.delay(requeue=True)

    worker.drain()

    assert result.get(timeout=1) is True


def test_message_that_is_rejected_for_good_fails_the_run(worker: InlineWorker) -> None:
    result = rejected.delay(requeue=False)

    worker.drain()

    assert run_of(result).state == State.FAILED


def test_revoked_run_never_starts(worker: InlineWorker) -> None:
    result = effect.apply_async(("never",), countdown=60)

    result.revoke()

    worker.drain()
    assert not Effect.objects.exists()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=1)


def test_revoked_member_fails_its_chord(worker: InlineWorker) -> None:
    from celery import chord

    from tests.harness.effects.tasks import total

    member = add.s(1, 1).set(countdown=60, task_id="member")
    result = chord([add.s(1, 1), member], total.s())()
    worker.drain(now=False)

    app.control.revoke("member")

    worker.drain()
    assert result.state == "FAILURE"


def test_chain_whose_last_step_was_revoked_before_its_turn_stops_there(
    worker: InlineWorker,
) -> None:
    canvas = chain(effect.s("first"), effect.si("never"))
    result = canvas.freeze()
    app.backend.mark_as_revoked(result.id)

    canvas.apply_async()

    worker.drain()
    assert [key for key in Effect.objects.values_list("key", flat=True)] == ["first"]
    assert run_of(result.parent).state == State.SUCCEEDED
    assert (run_of(result).state, run_of(result).name) == (State.CANCELLED, effect.name)


def test_failure_in_a_chain_is_stored_though_a_later_step_was_revoked(
    worker: InlineWorker,
) -> None:
    canvas = chain(fail.s(), add.s(1), add.s(2))
    result = canvas.freeze()
    app.backend.mark_as_revoked(result.id)

    canvas.apply_async()

    worker.drain()
    assert TaskRun.objects.get(name=fail.name).state == State.FAILED
    assert run_of(result).state == State.CANCELLED


def test_run_that_is_forgotten_is_gone(worker: InlineWorker) -> None:
    result = add.delay(1, 2)
    worker.drain()

    result.forget()

    assert not TaskRun.objects.exists()


def test_waiting_for_a_result_ends_at_its_timeout() -> None:
    result = add.delay(1, 2)

    with pytest.raises(CeleryTimeoutError):
        result.get(timeout=0.05)


def test_result_tells_name_arguments_worker_and_queue(worker: InlineWorker) -> None:
    result = add.delay(1, 2)

    worker.drain()

    known: Any = result
    assert (known.name, known.args, known.queue) == (add.name, [1, 2], "fast")
    assert result.date_done is not None


def test_plain_task_keeps_its_result_in_the_ledger(worker: InlineWorker) -> None:
    result = plain_add.delay(1, 2)
    assert not TaskRun.objects.exists()

    worker.drain()

    assert result.get(timeout=1) == 3
    assert run_of(result).lease_until is None


def test_replaced_run_is_not_started_twice(worker: InlineWorker) -> None:
    result = replaced_by.delay(effect.s("once"))
    with app.connection_for_write() as broker:
        [message] = worker.messages(broker)

    worker.execute(message)
    worker.execute(message)

    worker.drain()
    assert result.get(timeout=1) == "once"
    assert Effect.objects.count() == 1
