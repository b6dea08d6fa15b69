"""`AsyncResult` and `GroupResult` on the ledger, as Celery documents them."""

from typing import Any

import pytest
from celery import chain, chord, group, states
from celery.exceptions import ChordError, TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import (
    GroupResult,
    ResultSet,
    denied_join_result,
    result_from_tuple,
)
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.celery import app
from ledger.models import TaskRun
from tests.harness.effects.tasks import (
    add,
    effect,
    errback,
    fail,
    ignored,
    plain_add,
    retried,
    spawn,
    total,
    waits_for,
)
from tests.harness.inline import InlineWorker, effects

pytestmark = pytest.mark.usefixtures("every_row_ends")


def test_states_on_the_way(worker: InlineWorker) -> None:
    result = retried.delay(1, wait=60)
    seen = [(result.state, result.ready())]

    worker.drain(now=False)
    seen.append((result.state, result.ready()))
    worker.drain()
    seen.append((result.state, result.ready()))

    assert seen == [
        (states.PENDING, False),
        (states.RETRY, False),
        (states.SUCCESS, True),
    ]


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (add.si(1, 2), (states.SUCCESS, True, False)),
        (fail.si(), (states.FAILURE, False, True)),
    ],
    ids=["success", "failure"],
)
def test_end_is_told_by_state_and_by_its_predicates(
    worker: InlineWorker, task: Any, expected: object
) -> None:
    result = task.delay()

    worker.drain()

    assert (result.state, result.successful(), result.failed()) == expected
    assert result.ready()


def test_failure_is_raised_or_returned(worker: InlineWorker) -> None:
    result = fail.delay("broken")

    worker.drain()

    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=1)
    assert repr(result.get(timeout=1, propagate=False)) == "ValueError('broken')"
    assert repr(result.info) == "ValueError('broken')"


def test_run_is_known_from_the_moment_it_is_enqueued(worker: InlineWorker) -> None:
    result: Any = add.delay(1, 2)
    unknown: Any = app.AsyncResult("never enqueued")

    assert result.exists()
    assert not unknown.exists()


def test_result_of_a_chain_knows_its_parents_when_it_is_restored(
    worker: InlineWorker,
) -> None:
    result = chain(add.s(1, 2), add.s(10), add.s(100))()
    restored: Any = result_from_tuple(result.as_tuple(), app=app)

    worker.drain()

    assert restored.get(timeout=1) == 113
    assert [node.get() for node in restored._parents()] == [13, 3]
    assert restored.as_list() == [result.id, result.parent.id, result.parent.parent.id]


def test_error_of_a_parent_is_raised_by_the_child(worker: InlineWorker) -> None:
    result = chain(fail.s("early"), add.s(1), add.s(2))()

    worker.drain()

    with pytest.raises(ValueError, match="early"):
        result.get(timeout=1)


def test_collect_follows_all_children(worker: InlineWorker) -> None:
    result = spawn.delay(3)

    worker.drain()

    values = [value for _, value in result.collect()]
    assert values == [None, 1, 2, 3]
    assert result.get_leaf() == 3


def test_metadata_names_group_and_parent(worker: InlineWorker) -> None:
    result: Any = chain(add.s(1, 1), group(add.s(1), add.s(2)))()

    worker.drain()

    meta = result.results[0]._get_task_meta()
    assert meta["group_id"] == result.id
    assert meta["parent_id"] == result.parent.id


def test_forgetting_a_chain_forgets_its_parents(worker: InlineWorker) -> None:
    result = chain(add.s(1, 2), add.s(10))()
    worker.drain()

    result.forget()

    assert not TaskRun.objects.exists()


def test_run_that_has_not_ended_is_not_forgotten(worker: InlineWorker) -> None:
    result = effect.delay("done all the same")

    result.forget()

    worker.drain()
    assert effects() == ["done all the same"]


def test_waiting_for_a_chord_looks_at_its_whole_header_at_once() -> None:
    result: Any = chord([add.s(number, 1) for number in range(50)], total.s())()

    with CaptureQueriesContext(connection) as queries:
        with pytest.raises(CeleryTimeoutError):
            result.backend.wait_for_pending(
                result, timeout=0, on_interval=result._maybe_reraise_parent_error
            )

    assert len(queries) == 2


def test_waiting_for_a_chord_ends_as_soon_as_a_member_has_failed(
    worker: InlineWorker,
) -> None:
    slow = add.s(1, 1).set(countdown=60)
    result: Any = chord([fail.s("broken"), slow], total.s())()
    worker.drain(now=False)

    with pytest.raises(ValueError, match="broken"):
        result.backend.wait_for_pending(
            result, timeout=1, on_interval=result._maybe_reraise_parent_error
        )


def test_callback_of_get_is_called(worker: InlineWorker) -> None:
    result = add.delay(1, 2)
    worker.drain()
    called: list[object] = []

    result.get(timeout=1, callback=lambda id, value: called.append((id, value)))

    assert called == [(result.id, 3)]


def test_ignored_result_is_not_waited_for(worker: InlineWorker) -> None:
    result = add.apply_async((1, 2), ignore_result=True)

    assert result.ignored
    assert result.get() is None


def test_task_must_not_wait_for_another_unless_it_says_so(worker: InlineWorker) -> None:
    done = add.delay(1, 2)
    worker.drain()

    refused = waits_for.delay(done.id, disable_sync_subtasks=True)
    allowed = waits_for.delay(done.id, disable_sync_subtasks=False)

    with denied_join_result():  # as in every pool process
        worker.drain()
    with pytest.raises(RuntimeError, match="within a task"):
        refused.get(timeout=1)
    assert allowed.get(timeout=1) == 3


def test_group_counts_and_joins(worker: InlineWorker) -> None:
    result: Any = group(add.s(number, 1) for number in range(4))()
    assert (result.completed_count(), result.ready(), result.waiting()) == (
        0,
        False,
        True,
    )

    worker.drain()

    assert result.completed_count() == 4
    assert result.join(timeout=1) == [1, 2, 3, 4]
    assert result.join_native(timeout=1) == [1, 2, 3, 4]
    assert sorted(meta["result"] for _, meta in result.iter_native()) == [1, 2, 3, 4]
    assert result.successful()


def test_group_tells_its_error_or_returns_it(worker: InlineWorker) -> None:
    result = group(add.s(1, 1), fail.s("broken"), plain_add.s(2, 2))()

    worker.drain()

    with pytest.raises(ValueError, match="broken"):
        result.join(timeout=1)
    with pytest.raises(ValueError, match="broken"):
        result.join_native(timeout=1)
    for values in (
        result.join(timeout=1, propagate=False),
        result.join_native(timeout=1, propagate=False),
    ):
        assert (values[0], values[2]) == (2, 4)
        assert isinstance(values[1], ValueError)


def test_group_that_is_not_ready_times_out(worker: InlineWorker) -> None:
    result = group(add.s(1, 1), add.s(2, 2))()

    with pytest.raises(CeleryTimeoutError):
        result.join(timeout=0.05)
    with pytest.raises(CeleryTimeoutError):
        result.join_native(timeout=0.05)


def test_group_is_revoked_and_forgotten_as_a_whole(worker: InlineWorker) -> None:
    result = group(effect.s("a"), effect.s("b")).apply_async(countdown=60)

    result.revoke()

    worker.drain()
    assert effects() == []
    with pytest.raises(TaskRevokedError):
        result.get(timeout=1)
    result.forget()
    assert not TaskRun.objects.exists()


def test_nested_group_is_saved_and_restored(worker: InlineWorker) -> None:
    result: Any = chain(add.s(1, 1), group(add.s(1), chain(add.s(2), add.s(3))))()
    result.save()
    worker.drain()

    restored = GroupResult.restore(result.id, app=app)

    assert restored == result
    assert restored.get(timeout=1) == [3, 7]
    restored.delete()
    assert GroupResult.restore(result.id, app=app) is None


def test_set_of_results_from_several_calls(worker: InlineWorker) -> None:
    results = ResultSet([add.delay(1, 1), plain_add.delay(2, 2)], app=app)

    worker.drain()

    assert results.get(timeout=1) == [2, 4]
    assert results.ready()


def test_body_of_a_failed_chord_has_its_errbacks_as_children(
    worker: InlineWorker,
) -> None:
    body = total.s().on_error(errback.s())
    result: Any = chord([add.s(1, 1), fail.s()], body)()

    worker.drain()

    [called] = result.children
    assert [child.state for child in called.results] == [states.SUCCESS]
    assert effects() == [f"errback {result.id}"]
    assert isinstance(result.result, ChordError)
