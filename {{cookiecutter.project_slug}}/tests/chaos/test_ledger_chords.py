"""What follows from runs follows once, whatever happens to them on the way."""

from typing import Any

import pytest
from celery import chord
from django.db import transaction

from ledger import sql
from ledger.models import ChordRun, TaskRun
from ledger.states import State
from tests.harness.effects.tasks import (
    add,
    begin_then_work,
    effect,
    fail,
    killed_once,
    retried,
    total_effect,
)
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.own_postgres import OwnPostgres
from tests.harness.processes import Worker
from tests.harness.runs import effects, ended, run_of, seen

pytestmark = pytest.mark.chaos


class Undo(Exception):
    """Rolls a transaction back."""


def test_chord_with_a_killed_member_starts_its_body_once(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker(WORKER_CONCURRENCY="fast=2")
    header = [killed_once.s(10), *(add.s(number, 0) for number in range(10))]

    result = chord(header, total_effect.s("body"))()

    assert result.get(timeout=60) == 10 + sum(range(10))
    assert (effects("killed once"), effects("body")) == (2, 1)


def test_chord_with_a_retried_member_starts_its_body_once(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker(WORKER_CONCURRENCY="fast=2")
    header = [retried.s(2, "attempt"), *(add.s(number, 0) for number in range(10))]

    result = chord(header, total_effect.s("body"))()

    assert result.get(timeout=60) == 2 + sum(range(10))
    assert (effects("attempt"), effects("body")) == (3, 1)


def test_chord_with_a_failing_member_fails_once(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker()

    result = chord([add.s(1, 1), fail.s("broken")], total_effect.s("body"))()

    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=30)
    wait_until(ended(result))
    assert (run_of(result).state, effects("body")) == (State.FAILED, 0)
    assert not ChordRun.objects.exists()


def test_chord_of_a_thousand_starts_its_body_once(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker(WORKER_CONCURRENCY="fast=2")

    result = chord((add.s(n, 0) for n in range(1000)), total_effect.s("body"))()

    assert result.get(timeout=120) == sum(range(1000))
    assert effects("body") == 1


def killed_while_it_waits_for_a_lock(worker: Worker, wait_until: WaitUntil) -> None:
    """Kill a worker in the middle of the transaction that ends a run."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    wait_until(lambda: sql.fetch(waiting) != [(0,)])
    worker.kill()


def test_chain_whose_worker_is_killed_between_two_links_goes_on(
    postgres: OwnPostgres, durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    chain: Any = effect.si("a") | effect.si("b")
    result = chain()

    with pytest.raises(Undo), transaction.atomic():
        # Whoever stores the second link has to wait for us, and has ended the first.
        TaskRun.objects.create(pk=result.id, state=State.PENDING)
        worker = durable_worker(WORKER_CONCURRENCY="fast=1")
        killed_while_it_waits_for_a_lock(worker, wait_until)
        raise Undo
    durable_worker()

    assert result.get(timeout=40) == "b"
    assert (effects("a"), effects("b")) == (2, 1)


def test_chord_whose_member_is_killed_before_it_is_counted_starts_its_body_once(
    postgres: OwnPostgres, durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    header = [effect.s("member"), add.s(1, 1)]
    result = chord(header, total_effect.si([1], "body"))()

    with transaction.atomic():
        # Whoever counts a member has to wait for us, and has ended the member.
        sql.fetch("SELECT id FROM ledger_chordrun FOR UPDATE")
        worker = durable_worker(WORKER_CONCURRENCY="fast=1")
        killed_while_it_waits_for_a_lock(worker, wait_until)
    durable_worker()

    assert result.get(timeout=40) == 1
    assert (effects("member"), effects("body")) == (2, 1)


def test_chain_whose_worker_is_killed_during_a_link_goes_on(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    victim = durable_worker(WORKER_CONCURRENCY="fast=1")
    chain: Any = (
        begin_then_work.si("a", 0.2) | begin_then_work.si("b", 1) | effect.si("c")
    )
    result = chain()
    wait_until(seen("b begun"))

    victim.kill()
    durable_worker()

    assert result.get(timeout=40) == "c"
    assert (effects("a done"), effects("b done"), effects("c")) == (1, 1, 1)
