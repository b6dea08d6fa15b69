"""A run that ended without success is started again: once, and as the same run."""

from collections.abc import Callable
from threading import Barrier, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from celery import chain, chord
from django.db import connection

from config.celery import app
from ledger import relay, replay, sql
from ledger.claim import Claim
from ledger.control import revoke
from ledger.models import ChordRun, TaskRun
from ledger.replay import NotReplayable, is_of_failed_chord
from ledger.states import State
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import (
    add,
    echo,
    effect,
    fails_until,
    plain_fails_until,
    replaced_by,
    retried,
    total_effect,
)
from tests.harness.inline import InlineWorker, effects, run_of


def mend() -> None:
    """Remove what made `fails_until` fail."""
    Effect.objects.create(key="mended")


def test_replayed_run_succeeds_under_its_own_id(worker: InlineWorker) -> None:
    result = fails_until.delay("mended", 7)
    worker.drain()
    failed = run_of(result)
    mend()

    assert replay.replay(failed)

    worker.drain()
    assert result.get(timeout=1) == 7
    run = run_of(result)
    assert (run.state, run.attempts) == (State.SUCCEEDED, 2)
    assert (run.reason, run.traceback) == ("", None)


def test_replayed_run_has_the_same_idempotency_key(worker: InlineWorker) -> None:
    result = fails_until.delay("mended", 7, "tried")
    worker.drain()
    mend()

    replay.replay(run_of(result))

    worker.drain()
    keys = Effect.objects.filter(key="tried").values_list("attempt_key", flat=True)
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_replay_that_is_asked_for_twice_happens_once(worker: InlineWorker) -> None:
    result = fails_until.delay("mended", 7, "tried")
    worker.drain()
    failed = run_of(result)

    first = replay.replay(failed)
    worker.drain()  # it has failed again by the time of the second
    second = replay.replay(failed)

    assert (first, second) == (True, False)
    worker.drain()
    assert effects("tried") == ["tried"] * 2


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer")
def test_replays_at_the_same_moment_are_one(worker: InlineWorker) -> None:
    result = fails_until.delay("mended", 7, "tried")
    worker.drain()
    mend()
    failed = run_of(result)
    together = Barrier(8)
    started: list[bool] = []

    def ask() -> None:
        together.wait()
        try:
            started.append(replay.replay(failed))
        finally:
            connection.close()

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(started) == [False] * 7 + [True]
    worker.drain()
    assert effects("tried") == ["tried"] * 2


def test_worker_that_was_believed_dead_cannot_end_the_replayed_run() -> None:
    run = run_of(add.delay(1, 2))
    lost = Claim.take(run.id, "token")
    assert lost
    sql.execute("UPDATE ledger_taskrun SET state = 'dead', ended_at = created_at")

    assert replay.replay(run_of(run))

    assert not lost.finish(State.SUCCEEDED)


def test_replayed_run_has_all_its_retries_again(worker: InlineWorker) -> None:
    result = retried.delay(9, "tried")
    worker.drain()

    replay.replay(run_of(result))

    worker.drain()
    assert len(effects("tried")) == 2 * 6


def test_expired_run_that_is_replayed_does_not_expire_again(
    worker: InlineWorker,
) -> None:
    result = echo.apply_async(("value",), expires=-1)
    relay.step()
    assert run_of(result).state == State.CANCELLED

    replay.replay(run_of(result))

    worker.drain()
    assert result.get(timeout=1) == "value"


def test_run_that_was_revoked_and_replayed_is_not_revoked_by_a_worker_that_remembers(
    worker: InlineWorker,
) -> None:
    result = echo.apply_async(("value",), countdown=60)
    revoke(
        SimpleNamespace(app=app), [result.id]
    )  # as a worker that `celery control revoke` has reached
    assert run_of(result).state == State.CANCELLED

    replay.replay(run_of(result))

    worker.drain()
    assert result.get(timeout=1) == "value"


def test_chain_goes_on_after_its_failed_task_was_replayed(worker: InlineWorker) -> None:
    workflow: Any = chain(fails_until.s("mended", 7), add.s(1), add.s(10))
    result = workflow()
    worker.drain()
    assert run_of(result).state == State.FAILED
    mend()

    replay.replay(run_of(result.parent.parent))

    worker.drain()
    assert result.get(timeout=1) == 18


def test_chain_goes_on_after_its_expired_task_was_replayed(
    worker: InlineWorker,
) -> None:
    workflow: Any = chain(add.s(3, 4).set(expires=-1), add.s(1), add.s(10))
    result = workflow()
    relay.step()
    assert run_of(result).state == State.CANCELLED

    replay.replay(run_of(result.parent.parent))

    worker.drain()
    assert result.get(timeout=1) == 18


def test_chain_that_replaced_a_task_goes_on_in_its_place(worker: InlineWorker) -> None:
    workflow: Any = chain(fails_until.s("mended", 7), add.s(1))
    result = replaced_by.delay(workflow)
    worker.drain()
    assert run_of(result).state == State.FAILED
    mend()

    replay.replay(TaskRun.objects.get(name=fails_until.name))

    worker.drain()
    assert result.get(timeout=1) == 8


def test_chord_that_still_waits_for_others_waits_for_the_replayed_member_too(
    worker: InlineWorker,
) -> None:
    header = [fails_until.s("mended", 7), echo.s(5).set(countdown=60)]
    result = chord(header)(total_effect.s("body"))
    worker.drain(now=False)
    member = TaskRun.objects.get(name=fails_until.name)
    assert (member.state, ChordRun.objects.get().done) == (State.FAILED, 1)
    mend()

    replay.replay(member)

    assert ChordRun.objects.get().done == 0
    worker.drain()
    assert result.get(timeout=1) == 12
    assert effects("body") == ["body"]


def test_chord_waits_for_a_replayed_chain_among_its_members(
    worker: InlineWorker,
) -> None:
    header = [
        chain(fails_until.s("mended", 7), add.s(1)),
        echo.s(5).set(countdown=60),
    ]
    result = chord(header)(total_effect.s("body"))
    worker.drain(now=False)
    assert ChordRun.objects.get().done == 1
    mend()

    replay.replay(TaskRun.objects.get(name=fails_until.name))

    assert ChordRun.objects.get().done == 0
    worker.drain()
    assert result.get(timeout=1) == 13


def test_chord_that_has_failed_stays_failed_when_a_member_is_replayed(
    worker: InlineWorker,
) -> None:
    result = chord([fails_until.s("mended", 7), echo.s(5)])(total_effect.s("body"))
    worker.drain()
    member = TaskRun.objects.get(name=fails_until.name)
    mend()

    assert is_of_failed_chord(member)
    replay.replay(member)

    worker.drain()
    assert run_of(member).state == State.SUCCEEDED
    assert (result.state, effects("body")) == ("FAILURE", [])


def test_plain_task_is_replayed_and_leaves_its_result(worker: InlineWorker) -> None:
    result = plain_fails_until.delay("mended", 7)
    worker.drain()
    mend()

    assert replay.replay(run_of(result))

    worker.drain()
    assert result.get(timeout=1) == 7
    assert run_of(result).state == State.SUCCEEDED


def test_message_from_before_the_replay_does_not_start_it(worker: InlineWorker) -> None:
    result = fails_until.delay("mended", 7, "tried")
    with app.connection_for_write() as broker:
        [message] = worker.messages(broker)
    worker.execute(message)
    replay.replay(run_of(result))

    worker.execute(message)

    assert effects("tried") == ["tried"]


def succeeded(worker: InlineWorker) -> TaskRun:
    result = add.delay(1, 2)
    worker.drain()
    return run_of(result)


def waiting(worker: InlineWorker) -> TaskRun:
    return run_of(add.apply_async((1, 2), countdown=60))


def unknown_to_this_code(worker: InlineWorker) -> TaskRun:
    failed = fails_until.delay("mended", 7)
    worker.drain()
    TaskRun.objects.filter(pk=failed.id).update(name="gone")
    return run_of(failed)


def never_enqueued(worker: InlineWorker) -> TaskRun:
    workflow: Any = chain(fails_until.s("mended", 7), add.s(1))
    result = workflow()
    worker.drain()
    return run_of(result)


def key_taken(worker: InlineWorker) -> TaskRun:
    failed = fails_until.apply_async(("mended", 7), unique_key="one")
    worker.drain()
    effect.apply_async(("x",), unique_key="one", countdown=60)
    return run_of(failed)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (succeeded, "it is succeeded; accepted: cancelled, dead, failed"),
        (waiting, "it is pending"),
        (unknown_to_this_code, "no task gone"),
        (never_enqueued, "replay that one"),
        (key_taken, "unique key"),
    ],
)
def test_run_that_cannot_be_replayed_is_left_alone_and_the_reason_said(
    worker: InlineWorker, make: Callable[[InlineWorker], TaskRun], reason: str
) -> None:
    run = make(worker)

    with pytest.raises(NotReplayable, match=reason):
        replay.replay(run)

    assert run_of(run).state == run.state
