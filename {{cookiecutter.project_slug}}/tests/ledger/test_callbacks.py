"""Links, errbacks and replacements on the ledger."""

import pytest
from celery import Task, chain, chord, group

from config.celery import app
from ledger.claim import Claim
from ledger.models import TaskRun
from tests.harness.effects.calls import errback_without_arguments, unique_errback
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import (
    add,
    effect,
    errback,
    fail,
    new_errback,
    plain_add,
    plain_fail,
    plain_replaced_by,
    replaced_by,
    total,
)
from tests.harness.inline import InlineWorker, effects, run_of

pytestmark = pytest.mark.usefixtures("every_row_ends")


def test_link_gets_the_result(worker: InlineWorker) -> None:
    add.apply_async((1, 1), link=[effect.si("first"), add.s(10), effect.si("second")])

    worker.drain()

    assert effects() == ["first", "second"]


def test_link_of_a_group(worker: InlineWorker) -> None:
    add.apply_async((1, 1), link=group(effect.si("a"), effect.si("b")))

    worker.drain()

    assert effects() == ["a", "b"]


def test_link_error_gets_the_id(worker: InlineWorker) -> None:
    result = fail.apply_async(link_error=errback.s())

    worker.drain()

    assert effects() == [f"errback {result.id}"]


def test_errbacks_are_called_in_order(worker: InlineWorker) -> None:
    fail.apply_async(link_error=[new_errback.s(), errback.s(), new_errback.s()])

    worker.drain()

    keys = list(Effect.objects.order_by("pk").values_list("key", flat=True))
    assert [key.split()[0] for key in keys] == ["new", "new", "errback"]


def test_plain_task_calls_durable_errback(worker: InlineWorker) -> None:
    result = plain_fail.apply_async(link_error=errback.s())

    worker.drain()

    assert effects() == [f"errback {result.id}"]


@pytest.mark.parametrize("unusable", [errback_without_arguments, unique_errback])
def test_errback_that_cannot_be_enqueued_leaves_the_failure_stored(
    worker: InlineWorker, caplog: pytest.LogCaptureFixture, unusable: Task[..., None]
) -> None:
    result = fail.apply_async(link_error=unusable.s())

    worker.drain()

    run = run_of(result)
    assert (run.state, run.attempts, run.reason) == ("failed", 1, "ValueError: bad")
    assert f"errbacks of {result.id} undone" in caplog.text


def test_replaced_by_one_task(worker: InlineWorker) -> None:
    result = replaced_by.delay(add.s(2, 3))

    worker.drain()

    assert result.get(timeout=1) == 5
    assert TaskRun.objects.count() == 1


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (chain(add.s(1, 1), add.s(10)), 12),
        (chain(add.s(1, 1), plain_add.s(10)), 12),
        (group(add.s(1, 1), add.s(2, 2)), [2, 4]),
        (chord([add.s(1, 1), add.s(2, 2)], total.s()), 6),
        (add.s(1, 1) | group(add.s(1), add.s(2)), [3, 4]),
        (plain_add.s(3, 3), 6),
    ],
    ids=["chain", "mixed chain", "group", "chord", "chain with group", "plain"],
)
def test_replaced_by(
    worker: InlineWorker, replacement: object, expected: object
) -> None:
    result = replaced_by.delay(replacement)

    worker.drain()

    assert result.get(timeout=1) == expected


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (add.s(2, 3), 5),
        (chain(add.s(1, 1), add.s(10)), 12),
        (chain(plain_add.s(1, 1), add.s(10)), 12),
        (group(add.s(1, 1), plain_add.s(2, 2)), [2, 4]),
    ],
    ids=["one task", "chain", "mixed chain", "group"],
)
def test_plain_task_replaced_by(
    worker: InlineWorker, replacement: object, expected: object
) -> None:
    result = plain_replaced_by.delay(replacement)

    worker.drain()

    assert result.get(timeout=1) == expected


def test_replacement_keeps_callbacks_and_the_rest_of_the_chain(
    worker: InlineWorker,
) -> None:
    canvas = replaced_by.s(add.s(1, 1) | add.s(2)).set(link=effect.si("linked"))

    result = chain(canvas, add.s(100))()

    worker.drain()
    assert result.get(timeout=1) == 104
    assert effects() == ["linked"]


def test_run_that_is_revoked_after_it_was_replaced_leaves_what_stands_for_it_alone(
    worker: InlineWorker,
) -> None:
    result = replaced_by.delay(chain(effect.si("first"), effect.si("last")))
    with app.connection_for_write() as broker:
        [message] = worker.messages(broker)
    worker.execute(message)

    result.revoke()
    worker.drain()

    assert effects() == ["first"]
    assert run_of(result).state == "cancelled"
    assert TaskRun.objects.get(name=effect.name).state == "succeeded"


def test_replacement_that_comes_too_late_leaves_nothing(
    worker: InlineWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced_by.delay(chain(effect.si("late"), add.si(1, 1)))
    with app.connection_for_write() as broker:
        [message] = worker.messages(broker)

    with monkeypatch.context() as refused:
        refused.setattr(Claim, "replace", lambda self: None)
        worker.execute(message)

    assert TaskRun.objects.count() == 1
    TaskRun.objects.all().delete()


def test_replacement_that_fails_fails_the_run(worker: InlineWorker) -> None:
    result = replaced_by.delay(chain(fail.s("replaced"), add.s(1)))

    worker.drain()

    with pytest.raises(ValueError, match="replaced"):
        result.get(timeout=1)
