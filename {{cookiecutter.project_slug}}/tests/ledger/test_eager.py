"""Durable tasks in unit tests: `apply()` and `task_always_eager`, without rows."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import chain, chord, group
from django.db import transaction

from ledger.models import TaskRun
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import (
    add,
    atomic_effect,
    atomic_retried,
    atomic_then_fail,
    atomic_then_ignore,
    calls_itself,
    effect,
    errback,
    fail,
    ignored_failure,
    progressing,
    replaced_by,
    retried,
    total,
)
from tests.harness.inline import effects

pytestmark = pytest.mark.usefixtures("no_row_is_written")


@pytest.fixture
def no_row_is_written() -> Iterator[None]:
    """Check that the test has left the ledger alone."""
    yield
    assert not TaskRun.objects.exists()


@pytest.fixture
def eager(app_setting: Callable[[str, object], None]) -> None:
    """Let every call execute at once, in this process."""
    app_setting("task_always_eager", True)


def test_body_sees_the_request_of_its_call() -> None:
    result = effect.apply(("once",), task_id="chosen")

    assert result.get() == "once"
    assert Effect.objects.get().run_id == "chosen"


def test_retries_are_counted_and_keep_the_idempotency_key() -> None:
    result = retried.apply((2, "tried"))

    assert result.get() == 2
    keys = list(Effect.objects.values_list("attempt_key", flat=True))
    assert (len(keys), len(set(keys))) == (3, 1)


def test_atomic_effects_are_kept_on_success() -> None:
    assert atomic_effect.apply(("kept",)).get() == "kept"

    assert effects() == ["kept"]


def test_atomic_effects_of_a_failure_are_undone() -> None:
    result = atomic_then_fail.apply(("undone",))

    assert result.state == "FAILURE"
    assert effects() == []


def test_atomic_effects_of_a_retried_attempt_are_undone() -> None:
    assert atomic_retried.apply((2, "tried")).get() == 2

    assert effects() == ["tried"]


def test_atomic_effects_of_a_body_that_ignores_itself_are_kept_as_in_a_worker() -> None:
    result: Any = atomic_then_ignore.apply(("kept",))

    assert result.state == "IGNORED"
    assert effects() == ["kept"]


def test_atomic_body_is_part_of_the_callers_transaction() -> None:
    with transaction.atomic():
        atomic_effect.apply(("undone",))
        transaction.set_rollback(True)

    assert effects() == []


def test_call_of_the_task_as_a_function_is_no_transaction_of_its_own() -> None:
    calls_itself.apply()

    assert effects() == ["depth 0", "depth 1"]


@pytest.mark.usefixtures("eager")
def test_canvas() -> None:
    assert chain(add.s(1, 1), add.s(10))().get() == 12
    assert group(add.s(1, 1), add.s(2, 2))().get() == [2, 4]
    assert chord([add.s(1, 1), add.s(2, 2)], total.s())().get() == 6


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("replacement", [add.s(2, 2), add.s(1, 1) | add.s(2)])
def test_replacement(replacement: object) -> None:
    assert replaced_by.delay(replacement).get() == 4


@pytest.mark.usefixtures("eager")
def test_links_and_errbacks() -> None:
    effect.apply_async(("first",), link=effect.si("linked"))
    failed = fail.apply_async(link_error=errback.s())

    assert effects() == [f"errback {failed.id}", "first", "linked"]


@pytest.mark.usefixtures("eager")
def test_unique_key_is_ignored_because_nothing_is_active_when_a_call_returns() -> None:
    first = effect.apply_async(("a",), unique_key="same")
    second = effect.apply_async(("b",), unique_key="same")

    assert first.id != second.id
    assert effects() == ["a", "b"]


def test_progress_and_failure_are_not_stored() -> None:
    assert progressing.apply().get() == "done"
    assert ignored_failure.apply().state == "FAILURE"


class TestStored:
    """With Celery's `task_store_eager_result`, results are kept as final rows."""

    @pytest.fixture
    def no_row_is_written(self) -> None:
        """Rows are what these tests are about."""

    @pytest.mark.parametrize(
        ("task", "arguments", "state"),
        [(add, (1, 2), "SUCCESS"), (fail, (), "FAILURE"), (progressing, (), "SUCCESS")],
        ids=["success", "failure", "progress"],
    )
    def test_result_can_be_looked_up(
        self,
        task: Any,
        arguments: tuple[int, ...],
        state: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(task, "store_eager_result", True)

        result = task.apply(arguments)

        assert task.AsyncResult(result.id).state == state
        assert not TaskRun.objects.active().exists()
