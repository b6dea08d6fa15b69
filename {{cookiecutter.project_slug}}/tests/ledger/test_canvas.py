"""Celery's canvas on the ledger, as the user guide describes it."""

import operator
from typing import Any

import pytest
from celery import canvas as celery_canvas
from celery import chain, chord, group, signature

from ledger.models import TaskRun
from tests.harness.effects.tasks import (
    add,
    atomic_effect,
    echo,
    plain_add,
    spawn,
    total,
)
from tests.harness.inline import InlineWorker, effects

pytestmark = pytest.mark.usefixtures("every_row_ends")


def test_simple_call(worker: InlineWorker) -> None:
    result = add.delay(2, 3)

    worker.drain()

    assert (result.get(timeout=1), result.state) == (5, "SUCCESS")


def test_chain_has_results_and_parents(worker: InlineWorker) -> None:
    result = chain(add.s(1, 2), add.s(10), add.s(100))()

    worker.drain()

    assert result.get(timeout=1) == 113
    assert result.parent.get() == 13
    assert result.parent.parent.get() == 3
    assert result.parent.parent.children == [result.parent]


def test_chain_mixes_durable_and_plain_tasks(worker: InlineWorker) -> None:
    result = chain(add.s(1, 2), plain_add.s(10), add.s(100), plain_add.s(1000))()

    worker.drain()

    assert result.get(timeout=1) == 1113


def test_group_is_in_order(worker: InlineWorker) -> None:
    result = group(add.s(number, 1) for number in range(10))()

    worker.drain()

    assert result.get(timeout=1) == list(range(1, 11))
    assert result.successful()
    assert result.completed_count() == 10


def test_saved_group_is_restored(worker: InlineWorker) -> None:
    result = group(add.s(1, 1), add.s(2, 2))()
    result.save()
    worker.drain()

    restored = result.restore(result.id)

    assert restored is not None
    assert restored.get(timeout=1) == [2, 4]
    restored.delete()
    assert result.restore(result.id) is None


def test_large_group(worker: InlineWorker) -> None:
    result = group(add.s(number, 0) for number in range(1200))()

    worker.drain()

    assert sum(result.get(timeout=5)) == sum(range(1200))


def test_chain_through_two_groups(worker: InlineWorker) -> None:
    canvas: Any = (
        add.s(1, 1)
        | group(add.s(1), add.s(2))
        | group(total.s(), total.s())
        | total.s()
    )

    result = canvas()

    worker.drain()

    assert result.get(timeout=1) == 14


def test_starmap_map_and_chunks(worker: InlineWorker) -> None:
    pairs = [(number, number) for number in range(6)]
    starmap = add.starmap(pairs).apply_async()
    mapped = echo.map(range(3)).apply_async()
    chunks = add.chunks(pairs, 2).apply_async()

    worker.drain()

    assert starmap.get(timeout=1) == [0, 2, 4, 6, 8, 10]
    assert mapped.get(timeout=1) == [0, 1, 2]
    assert chunks.get(timeout=1) == [[0, 2], [4, 6], [8, 10]]


def test_immutable_signature_ignores_the_result_before_it(
    worker: InlineWorker,
) -> None:
    result = chain(add.s(1, 1), add.si(5, 5))()

    worker.drain()

    assert result.get(timeout=1) == 10


def test_signature_by_name(worker: InlineWorker) -> None:
    result = signature(add.name, args=(1, 2)).delay()

    worker.drain()

    assert result.get(timeout=1) == 3


def test_children_are_known_to_the_parent(worker: InlineWorker) -> None:
    result = spawn.delay(3)

    worker.drain()

    children: Any = result.children
    assert sorted(child.get(timeout=1) for child in children) == [1, 2, 3]
    assert len(list(result.collect())) == 4


def test_stamps_travel_with_every_task(worker: InlineWorker) -> None:
    visitor: Any = celery_canvas

    class Stamp(visitor.StampingVisitor):  # type: ignore[misc]  # not in its types
        def on_signature(self, sig: object, **headers: object) -> dict[str, str]:
            return {"tenant": "acme"}

    canvas = chain(add.s(1, 1), add.s(2))
    canvas.stamp(Stamp())

    result = canvas.apply_async()

    worker.drain()
    assert result.get(timeout=1) == 4
    options = [operator.itemgetter("options")(row) for row in TaskRun.objects.values()]
    assert all('"tenant": "acme"' in text for text in options)


def test_atomic_task_in_a_canvas(worker: InlineWorker) -> None:
    result = chord([atomic_effect.s("a"), atomic_effect.s("b")], echo.s())()

    worker.drain()

    assert result.get(timeout=1) == ["a", "b"]
    assert effects() == ["a", "b"]
