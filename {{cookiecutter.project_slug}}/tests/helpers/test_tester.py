"""The fixture `tasks`, tried on tasks that are right and on tasks that are not."""

from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest
from celery import chain, chord
from django.db import transaction
from pytest import MonkeyPatch

from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import (
    add,
    atomic_effect,
    autoretried,
    effect,
    fail,
    once_per_key,
    plain_add,
    plain_effect,
    plain_unnoticed,
    progressing,
    retried,
    spawn,
    total_effect,
)
from tests.harness.inline import InlineWorker, effects
from tests.helpers.tester import TaskTester


def left() -> int:
    """Return how many effects there are."""
    return Effect.objects.count()


def keys() -> set[str]:
    """Return the idempotency keys that another service would have seen."""
    return set(Effect.objects.values_list("attempt_key", flat=True))


# --- run


def test_run_returns_the_result_of_a_run_that_is_a_row(tasks: TaskTester) -> None:
    run = tasks.run(add, 1, 2)

    assert (run.result, run.state, run.attempts) == (3, State.SUCCEEDED, 1)
    assert run.error is None
    assert TaskRun.objects.get(pk=run.id).result == "3"


def test_run_follows_retries_without_waiting(tasks: TaskTester) -> None:
    run = tasks.run(retried, 3, wait=3600)

    assert (run.result, run.attempts) == (3, 4)


def test_run_that_failed_has_its_error(tasks: TaskTester) -> None:
    run = tasks.run(fail, "no such invoice")

    assert run.state == State.FAILED
    assert isinstance(run.error, ValueError)
    assert str(run.error) == "no such invoice"


def test_result_of_a_run_that_failed_shows_its_traceback(tasks: TaskTester) -> None:
    run = tasks.run(fail, "no such invoice")

    with pytest.raises(AssertionError, match="(?s)failed.*line.*no such invoice"):
        run.result


def test_run_executes_what_the_task_enqueues(tasks: TaskTester) -> None:
    run = tasks.run(spawn, 2)

    assert run.started == [spawn.name, add.name, add.name]


def test_run_of_a_plain_task_is_told_of_like_any_other(tasks: TaskTester) -> None:
    run = tasks.run(plain_add, 1, 2)

    assert (run.result, run.attempts) == (3, 1)


def test_run_without_a_row_says_why(tasks: TaskTester) -> None:
    with pytest.raises(AssertionError, match="ignores its result"):
        tasks.run(plain_unnoticed, "key")


def test_run_that_has_not_ended_says_so(
    tasks: TaskTester, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(InlineWorker, "drain", lambda worker: None)

    with pytest.raises(AssertionError, match="add is still queued"):
        tasks.run(add, 1, 2)


def test_run_in_a_transaction_is_an_error(tasks: TaskTester) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="after the commit"):
        tasks.run(add, 1, 2)


# --- retries and progress


def test_delays_of_retries_are_the_longest_of_the_backoff(tasks: TaskTester) -> None:
    assert tasks.run(autoretried, 2).retry_delays == [1, 2]


def test_delays_of_retries_that_the_body_asks_for(tasks: TaskTester) -> None:
    assert tasks.run(retried, 2, wait=60).retry_delays == [60, 60]


def test_delays_of_other_runs_are_not_among_them(tasks: TaskTester) -> None:
    tasks.run(retried, 2, wait=60)

    assert tasks.run(retried, 1, wait=5).retry_delays == [5]


def test_progress_is_what_the_task_reported_and_is_stored(tasks: TaskTester) -> None:
    run = tasks.run(progressing)

    assert run.progress == [{"done": 3}]
    assert effects() == ["{'done': 3}"]


# --- enqueued


def test_enqueued_call_is_found_before_the_commit(tasks: TaskTester) -> None:
    with transaction.atomic():
        add.delay(1, y=2)

        tasks.assert_enqueued(add, 1, 2)
        assert tasks.enqueued(add) == [{"x": 1, "y": 2}]


def test_call_that_was_rolled_back_is_not_enqueued(tasks: TaskTester) -> None:
    with transaction.atomic():
        add.delay(1, 2)
        transaction.set_rollback(True)

    assert tasks.enqueued(add) == []


def test_call_that_was_executed_is_not_enqueued_any_more(tasks: TaskTester) -> None:
    tasks.run(add, 1, 2)

    assert tasks.enqueued(add) == []


def test_run_that_waits_for_a_retry_is_not_enqueued(
    tasks: TaskTester, inline_worker: InlineWorker
) -> None:
    retried.delay(1, wait=60)
    inline_worker.drain(now=False)

    assert TaskRun.objects.get().state == State.PENDING
    assert tasks.enqueued(retried) == []


def test_other_arguments_fail_and_those_that_wait_are_named(tasks: TaskTester) -> None:
    add.delay(1, 2)

    with pytest.raises(AssertionError, match=r"all that wait: \[\{'x': 1, 'y': 2\}\]"):
        tasks.assert_enqueued(add, 2, 1)


def test_same_call_enqueued_twice_fails(tasks: TaskTester) -> None:
    add.delay(1, 2)
    add.delay(1, 2)

    with pytest.raises(AssertionError, match="2 calls .* wait, expected 1"):
        tasks.assert_enqueued(add, 1, 2)


def test_call_of_another_task_fails(tasks: TaskTester) -> None:
    effect.delay("key")

    with pytest.raises(AssertionError, match="0 calls"):
        tasks.assert_enqueued(atomic_effect, "key")


# --- drain


def test_drain_drives_a_workflow_to_its_end(tasks: TaskTester) -> None:
    each = [chain(add.si(1, 1), add.s(number)) for number in (1, 2)]
    chord(each, total_effect.s("all")).apply_async()

    assert Counter(tasks.drain()) == {add.name: 4, total_effect.name: 1}
    assert effects() == ["all"]


def test_drain_in_a_transaction_is_an_error(tasks: TaskTester) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="after the commit"):
        tasks.drain()


# --- twice


def test_atomic_task_whose_worker_dies_leaves_its_effect_once(
    tasks: TaskTester,
) -> None:
    assert tasks.twice(atomic_effect, "key", effects=left) == 1


def test_task_that_repeats_its_effect_is_found(tasks: TaskTester) -> None:
    with pytest.raises(AssertionError, match="executed twice: 1 -> 2"):
        tasks.twice(effect, "key", effects=left)


def test_unique_key_does_not_save_a_body_that_repeats_its_effect(
    tasks: TaskTester,
) -> None:
    with pytest.raises(AssertionError, match="executed twice: 1 -> 2"):
        tasks.twice(once_per_key, "key", effects=left)


def test_other_services_see_one_idempotency_key(tasks: TaskTester) -> None:
    [key] = tasks.twice(effect, "key", effects=keys)

    assert UUID(key).version == 5
    assert left() == 2


def test_plain_task_whose_message_is_executed_twice_is_found(tasks: TaskTester) -> None:
    with pytest.raises(AssertionError, match="executed twice: 1 -> 2"):
        tasks.twice(plain_effect, "key", effects=left)


def test_comparison_of_no_effects_proves_nothing(tasks: TaskTester) -> None:
    with pytest.raises(AssertionError, match="create what it works on first"):
        tasks.twice(add, 1, 2, effects=left)


def test_effects_that_are_repeated_are_shown_without_those_that_are_not(
    tasks: TaskTester,
) -> None:
    tasks.run(effect, "unchanged")

    def tables() -> object:
        return {"Effect": [*Effect.objects.values("key", "run_id")]}

    with pytest.raises(AssertionError, match=r"\+ Effect \{'key': 'key'") as error:
        tasks.twice(effect, "key", effects=tables)

    assert "unchanged" not in str(error.value)


def test_failure_of_twice_is_shown_at_the_line_of_the_test(tasks: TaskTester) -> None:
    with pytest.raises(AssertionError) as error:
        tasks.twice(effect, "key", effects=left)

    assert error.traceback.filter(error)[-1].path == Path(__file__)


def test_failure_of_a_run_is_shown_at_the_line_of_the_test(tasks: TaskTester) -> None:
    run = tasks.run(fail, "no such invoice")

    with pytest.raises(AssertionError) as error:
        run.result

    assert error.traceback.filter(error)[-1].path == Path(__file__)


def test_run_executed_twice_must_succeed(tasks: TaskTester) -> None:
    with pytest.raises(AssertionError, match="ended as failed"):
        tasks.twice(fail, effects=left)


def test_task_that_is_declared_idempotent_is_called_again(
    tasks: TaskTester, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_effect, "idempotent", "by nature: a lie", raising=False)

    with pytest.raises(AssertionError, match="when it is called again: 1 -> 2"):
        tasks.twice(atomic_effect, "key", effects=left)


def test_worker_dies_at_the_last_attempt_of_a_run_that_is_retried(
    tasks: TaskTester,
) -> None:
    with pytest.raises(AssertionError, match="executed twice: 2 -> 3"):
        tasks.twice(retried, 1, "key", effects=left)
