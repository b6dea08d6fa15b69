"""How a run begins: in the caller's transaction, or not at all."""

import json
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog
from celery import Signature, chain, chord, group
from celery.exceptions import (
    QueueNotFound,
    SoftTimeLimitExceeded,
    TaskRevokedError,
)
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from kombu.exceptions import EncodeError

from config.celery import app
from ledger import doorbell, relay, sql
from ledger.claim import Claim
from ledger.models import ChordRun, TaskRun
from ledger.states import State
from tests.harness.effects.calls import request_eta
from tests.harness.effects.tasks import (
    add,
    echo,
    ignored,
    once_per_key,
    plain_add,
    total,
)
from tests.harness.inline import InlineWorker, effects, run_of, waiting


class Undo(Exception):
    """Rolls a transaction back."""


def test_row_is_there_before_the_call_returns() -> None:
    result = add.delay(1, 2)

    run = run_of(result)
    assert (run.name, json.loads(run.args), run.queue) == (add.name, [1, 2], "fast")
    assert run.state == State.QUEUED


def test_message_is_published_on_commit_only() -> None:
    with transaction.atomic():
        add.delay(1, 2)
        assert not waiting()

    assert waiting()


@pytest.mark.parametrize("in_transaction", [False, True])
def test_soft_limit_of_the_caller_is_raised_there_and_the_calls_run(
    worker: InlineWorker, monkeypatch: pytest.MonkeyPatch, in_transaction: bool
) -> None:
    publish = doorbell._publish

    def interrupted(app: Any, call: Any, producer: Any) -> None:
        if [*call.args] == [1]:
            raise SoftTimeLimitExceeded
        publish(app, call, producer)

    transacted = transaction.atomic() if in_transaction else nullcontext()
    with monkeypatch.context() as patch, pytest.raises(SoftTimeLimitExceeded):
        patch.setattr(doorbell, "_publish", interrupted)
        with transacted:
            group(echo.s(number) for number in range(3))()

    runs = TaskRun.objects.order_by("args").values_list("state", flat=True)
    assert [*runs] == [State.QUEUED, State.PENDING, State.PENDING]
    worker.drain()
    assert [*runs.all()] == [State.SUCCEEDED] * 3


def test_rollback_leaves_neither_row_nor_message() -> None:
    with pytest.raises(Undo), transaction.atomic():
        add.delay(1, 2)
        raise Undo

    assert not TaskRun.objects.exists()
    assert not waiting()


def test_group_is_one_insert() -> None:
    with CaptureQueriesContext(connection) as queries:
        group(add.s(number, 1) for number in range(100))()

    inserts = [q for q in queries.captured_queries if "INSERT" in q["sql"]]
    assert len(inserts) == 1


def test_group_with_a_member_that_cannot_be_stored_leaves_none() -> None:
    with pytest.raises(EncodeError):
        group(add.s(1, 1), add.s(object(), 1), add.s(2, 2))()

    assert not TaskRun.objects.exists()
    assert not waiting()


def test_enqueueing_costs_one_statement() -> None:
    add.delay(1, 2)  # the first call connects

    with CaptureQueriesContext(connection) as queries:
        add.delay(3, 4)

    assert [q["sql"].split()[0] for q in queries.captured_queries] == ["INSERT"]


def test_chord_is_enqueued_in_one_transaction() -> None:
    with CaptureQueriesContext(connection) as queries:
        chord([add.s(number, 1) for number in range(100)], echo.s())()

    words = [query["sql"].split()[0] for query in queries.captured_queries]
    assert words == ["BEGIN", "INSERT", "INSERT", "COMMIT"]


def test_chord_with_a_member_that_cannot_be_stored_leaves_nothing() -> None:
    with pytest.raises(EncodeError):
        chord([add.s(1, 1), add.s(object(), 1)], echo.s())()

    assert not TaskRun.objects.exists()
    assert not ChordRun.objects.exists()


def test_chord_whose_header_cannot_be_produced_leaves_nothing() -> None:
    def header() -> Iterator[Any]:
        yield add.s(1, 1)
        yield add.s(2, 2)
        raise LookupError("no more")

    with pytest.raises(LookupError):
        chord(header(), echo.s())()

    assert not TaskRun.objects.exists()
    assert not ChordRun.objects.exists()
    assert not waiting()


def test_plain_members_of_a_chord_wait_for_the_commit_as_well(
    worker: InlineWorker,
) -> None:
    """Else they end before anybody else can see the chord that counts them."""
    with transaction.atomic():
        result = chord([plain_add.s(1, 1), plain_add.s(2, 2)], total.s())()
        assert not waiting()

    worker.drain()
    assert result.get(timeout=1) == 6


def test_simple_task_costs_two_statements(worker: InlineWorker) -> None:
    add.delay(1, 2)
    with app.connection_for_write() as broker:
        [message] = worker.messages(broker)

    with CaptureQueriesContext(connection) as queries:
        worker.execute(message)

    assert [q["sql"].split()[0] for q in queries.captured_queries] == ["UPDATE"] * 2


def test_member_of_a_chord_costs_three_statements_in_one_transaction(
    worker: InlineWorker,
) -> None:
    chord([add.s(1, 1), add.s(2, 2)], echo.s())()
    with app.connection_for_write() as broker:
        [message, _] = worker.messages(broker)

    with CaptureQueriesContext(connection) as queries:
        worker.execute(message)

    words = [query["sql"].split()[0] for query in queries.captured_queries]
    assert words == ["UPDATE", "BEGIN", "UPDATE", "UPDATE", "COMMIT"]
    worker.drain()


def test_wrong_arguments_are_the_callers_error() -> None:
    with pytest.raises(TypeError):
        add.apply_async((1, 2, 3))

    assert not TaskRun.objects.exists()


def test_unknown_queue_is_the_callers_error() -> None:
    with pytest.raises(QueueNotFound):
        add.apply_async((1, 2), queue="urgent")


def test_soft_limit_above_the_hard_one_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match="soft_time_limit"):
        add.apply_async((1, 2), soft_time_limit=20, time_limit=10)


def test_ignored_result_is_known_to_the_caller(worker: InlineWorker) -> None:
    result = ignored.delay(1)

    worker.drain()

    assert result.ignored
    assert result.get() is None
    assert run_of(result).result is None
    assert run_of(result).state == State.SUCCEEDED


def test_same_call_with_the_same_id_is_the_same_run(worker: InlineWorker) -> None:
    first = add.apply_async((1, 2), task_id="sum", link=echo.s())
    worker.drain()

    second = add.apply_async((1, 2), task_id="sum", link=echo.s())

    assert first.id == second.id
    assert TaskRun.objects.count() == 2


def test_other_call_with_the_same_id_is_refused(worker: InlineWorker) -> None:
    add.apply_async((1, 2), task_id="sum")
    worker.drain()

    with pytest.raises(ValueError, match="an id names one run"):
        add.apply_async((1, 2), task_id="sum", link=echo.s())
    with pytest.raises(ValueError, match="an id names one run"):
        echo.apply_async((1,), task_id="sum")


@pytest.mark.filterwarnings("ignore:Exception raised outside body")
def test_chain_with_a_step_that_ran_before_fails_instead_of_waiting_for_ever(
    worker: InlineWorker,
) -> None:
    used = add.s(1)
    used.freeze()
    chain(add.s(1, 1), used, add.s(1))()
    worker.drain()

    result = chain(add.s(2, 2), used, echo.s())()

    worker.drain()
    with pytest.raises(ValueError, match="an id names one run"):
        result.get(timeout=1)


def test_group_with_the_same_frozen_task_twice_is_refused() -> None:
    used = add.s(1, 1)
    used.freeze()

    with pytest.raises(ValueError, match="an id names one run"):
        group(used, used).apply_async()

    assert not TaskRun.objects.exists()


def test_second_call_with_a_unique_key_gets_the_first_ones_result(
    worker: InlineWorker,
) -> None:
    first = add.apply_async((1, 2), unique_key="sum")
    second = add.apply_async((3, 4), unique_key="sum")

    worker.drain()

    assert first.id == second.id
    assert second.get(timeout=1) == 3
    assert add.apply_async((5, 6), unique_key="sum").id != first.id


def test_unique_key_may_be_a_template_of_the_arguments(worker: InlineWorker) -> None:
    first, same, other = (once_per_key.delay(key) for key in ("a", "a", "b"))
    by_keyword = once_per_key.delay(key="a")

    worker.drain()

    assert first.id == same.id == by_keyword.id != other.id
    assert effects() == ["a", "b"]


def test_retry_of_a_run_with_a_unique_key_keeps_it(worker: InlineWorker) -> None:
    result = once_per_key.delay("a", retries=1)
    worker.drain(now=False)

    assert once_per_key.delay("a").id == result.id

    worker.drain()
    assert effects() == ["a", "a"]


@pytest.mark.parametrize(
    "canvas",
    [
        group(once_per_key.s("a"), once_per_key.s("b")),
        chain(once_per_key.s("a"), once_per_key.si("b")),
        chord([once_per_key.s("a")], add.si(1, 2)),
        once_per_key.s("a").set(link=add.si(1, 2)),
    ],
    ids=["group", "chain", "chord", "link"],
)
def test_call_with_a_unique_key_cannot_be_waited_for_in_a_canvas(
    canvas: Signature[Any],
) -> None:
    with pytest.raises(ValueError, match="cannot be part of a canvas"):
        canvas.apply_async()

    assert not TaskRun.objects.exists()


def test_countdown_waits_in_the_row(worker: InlineWorker) -> None:
    result = add.apply_async((1, 2), countdown=60)

    worker.drain(now=False)
    assert (run_of(result).state, worker.executed) == (State.PENDING, [])

    worker.drain(now=True)
    assert result.get(timeout=1) == 3


def test_eta_waits_in_the_row() -> None:
    eta = datetime.now(UTC) + timedelta(hours=1)

    run = run_of(add.apply_async((1, 2), eta=eta))

    assert abs((run.run_at - eta).total_seconds()) < 1


@pytest.mark.parametrize("moment", ["countdown", "eta"])
def test_body_is_told_when_it_was_to_start(worker: InlineWorker, moment: str) -> None:
    due = datetime.now(UTC) + timedelta(hours=1)
    options: dict[str, Any] = {"countdown": 3600, "eta": due}

    result = request_eta.apply_async(**{moment: options[moment]})
    at_once = request_eta.delay()

    worker.drain()
    told = datetime.fromisoformat(str(result.get(timeout=1)))
    assert abs((told - due).total_seconds()) < 5
    assert at_once.get(timeout=1) is None


def test_run_that_expired_is_cancelled_by_the_relay(worker: InlineWorker) -> None:
    result = add.apply_async((1, 2), expires=60, countdown=30)
    sql.execute(f"UPDATE ledger_taskrun SET expires_at = {sql.later('-1')}")

    relay.step()

    with pytest.raises(TaskRevokedError, match="expired"):
        result.get(timeout=1)


def test_expired_run_cannot_be_claimed() -> None:
    run = run_of(add.apply_async((1, 2), expires=60))
    sql.execute(f"UPDATE ledger_taskrun SET expires_at = {sql.later('-1')}")

    assert Claim.take(run.id, "token") is None


def test_message_sent_by_name_gets_its_row_when_it_arrives(
    worker: InlineWorker,
) -> None:
    result = app.send_task(add.name, (1, 2))
    assert not TaskRun.objects.exists()

    worker.drain()

    assert result.get(timeout=1) == 3
    assert run_of(result).attempts == 1


def test_called_as_a_function_it_is_one() -> None:
    assert add(1, 2) == 3
    assert add.apply((1, 2)).get() == 3
    assert not TaskRun.objects.exists()


def test_request_id_is_stored_with_the_run() -> None:
    with structlog.contextvars.bound_contextvars(request_id="from-the-web"):
        result = add.delay(1, 2)

    assert "from-the-web" in run_of(result).options
