"""What is forgotten, and what is not yet."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import chain, chord, group
from django.utils import timezone

from config.celery import app
from config.env import env
from ledger import prune
from ledger.models import ChordRun, GroupRun, TaskRun
from ledger.states import State
from tests.harness.effects.tasks import add, echo, plain_echo
from tests.harness.inline import InlineWorker, run_of

DAY = timedelta(days=1)


def long_ago() -> datetime:
    return timezone.now() - timedelta(seconds=env.LEDGER_KEEP_FAILED_SECONDS) - DAY


def make(state: State, ended: datetime | None, **values: Any) -> TaskRun:
    number = TaskRun.objects.count()
    values = {"name": "some", **values}
    return TaskRun.objects.create(
        id=f"run {number:05}", state=state, ended_at=ended, **values
    )


def left() -> list[str]:
    return list(TaskRun.objects.order_by("pk").values_list("pk", flat=True))


def test_runs_are_kept_for_their_time_and_dead_letters_for_longer() -> None:
    now = timezone.now()
    keep = timedelta(seconds=env.LEDGER_KEEP_SECONDS)
    kept = [
        make(State.SUCCEEDED, now - keep + DAY / 24),
        make(State.FAILED, now - keep - DAY),
        make(State.DEAD, now - keep - DAY),
        make(State.CANCELLED, now - keep - DAY),
        make(State.PENDING, None, created_at=long_ago()),
        make(State.QUEUED, None, created_at=long_ago()),
        make(State.REPLACED, None, created_at=long_ago()),
        make(State.RUNNING, None, created_at=long_ago(), lease_until=now),
    ]
    make(State.SUCCEEDED, now - keep - DAY)
    for state in (State.FAILED, State.DEAD, State.CANCELLED):
        make(state, long_ago())

    assert prune.count() == 4
    assert sum(prune.prune()) == 4
    assert left() == [run.pk for run in kept]
    assert sum(prune.prune()) == 0


def test_rows_go_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "ROWS_PER_BATCH", 4)
    ended = long_ago()
    for _ in range(10):  # all of the same moment
        make(State.SUCCEEDED, ended)

    assert list(prune.prune()) == [4, 4, 2]


def test_run_that_is_replayed_in_between_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "ROWS_PER_BATCH", 1)
    first, second = make(State.FAILED, long_ago()), make(State.FAILED, long_ago())
    unfinished = prune._unfinished

    def meanwhile(groups: set[str]) -> set[str]:
        TaskRun.objects.filter(pk=second.pk).update(
            state=State.QUEUED, ended_at=None, call_number=1
        )
        return unfinished(groups)

    monkeypatch.setattr(prune, "_unfinished", meanwhile)
    monkeypatch.setattr(prune, "ROWS_PER_BATCH", 2)

    assert list(prune.prune()) == [1]
    assert left() == [second.pk]
    assert first.pk not in left()


def age() -> None:
    """Make everything look as if it had been made, and had ended, long ago."""
    TaskRun.objects.filter(state=State.RUNNING).update(created_at=long_ago())
    TaskRun.objects.filter(ended_at__isnull=False).update(ended_at=long_ago())
    ChordRun.objects.update(created_at=long_ago())
    GroupRun.objects.update(created_at=long_ago())


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "nested"])
def test_members_stay_until_the_body_of_their_chord_has_their_results(
    worker: InlineWorker, nested: bool
) -> None:
    # Of the chain, only the first task has a row yet, which is no member.
    late = chain(echo.s(5).set(countdown=60), add.s(0))
    header = group(add.s(1, 1), add.s(2, 2)) if nested else group(add.s(1, 1))
    result = chord(group(header, late))(echo.s())
    worker.drain(now=False)
    age()

    assert sum(prune.prune()) == 0

    worker.drain()
    assert sorted(result.get(timeout=1)) == ([2, 4, 5] if nested else [2, 5])
    age()
    assert sum(prune.prune()) == (5 if nested else 4)


def test_members_stay_until_their_group_has_ended(worker: InlineWorker) -> None:
    result = group(add.s(1, 1), echo.s(5).set(countdown=60))()
    result.save()
    worker.drain(now=False)
    age()

    assert sum(prune.prune()) == 0

    worker.drain()
    restored = app.GroupResult.restore(result.id)
    assert restored.get(timeout=1) == [2, 5]
    age()
    assert sum(prune.prune()) == 3
    assert not GroupRun.objects.exists()


def test_chord_that_can_never_end_is_forgotten(worker: InlineWorker) -> None:
    ChordRun.objects.create(id="hopeless", size=2, done=1)
    make(State.SUCCEEDED, long_ago(), group_id="hopeless", group_index=0)
    ChordRun.objects.create(id="hopeful", size=2, done=1)
    make(
        State.QUEUED, None, options='{"chain": [{"options": {"group_id": "hopeful"}}]}'
    )
    age()

    assert sum(prune.prune()) == 1
    assert sum(prune.prune()) == 1

    assert list(ChordRun.objects.values_list("pk", flat=True)) == ["hopeful"]


def test_plain_task_that_never_said_how_it_ended_is_forgotten(
    worker: InlineWorker,
) -> None:
    begun = plain_echo.delay("value")
    app.backend.store_result(begun.id, None, "PROGRESS")
    assert run_of(begun).state == State.RUNNING
    age()

    assert sum(prune.prune()) == 1


def test_cleanup_of_the_result_backend_prunes() -> None:
    make(State.SUCCEEDED, long_ago())

    app.backend.cleanup()

    assert left() == []


def test_redis_keeps_results_for_as_long_as_the_ledger() -> None:
    assert app.conf.result_expires == env.LEDGER_KEEP_SECONDS
