"""Messages that a worker does not know or cannot read: none is lost, none ends the worker."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import chain
from celery.exceptions import NotRegistered
from celery.utils.timer2 import Schedule
from django.db import OperationalError, connection
from kombu import Connection
from kombu.utils.json import loads

from config.celery import app
from config.env import env
from ledger import refused, relay, sql
from ledger.claim import Claim
from ledger.consumer import LedgerConsumer
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.tasks import add, plain_echo, plain_unnoticed
from tests.harness.inline import InlineWorker, effects, run_of, waiting


class OldWorker:
    """A worker of an older version: it knows none of the tasks."""

    def __init__(self, broker: Connection) -> None:
        controller = SimpleNamespace(use_eventloop=False)
        self.consumer = LedgerConsumer(
            lambda request: None, app=app, timer=Schedule(), controller=controller
        )
        self._broker = broker
        self._handle = self.consumer.create_task_handler()

    def drain(self) -> list[Any]:
        """Take all messages that wait; return them."""
        taken: list[Any] = []

        def take(message: Any) -> None:
            taken.append(message)
            self._handle(message)

        def cannot_decode(message: Any, error: Exception) -> None:
            taken.append(message)
            self.consumer.on_decode_error(message, error)

        channel: Any = self._broker  # a consumer opens one of its own
        tasks = app.amqp.TaskConsumer(channel, on_decode_error=cannot_decode)
        tasks.on_message = take
        with tasks:
            while waiting():
                self._broker.drain_events(timeout=1)
        return taken


@pytest.fixture
def old_worker() -> Iterator[OldWorker]:
    with app.connection_for_read() as broker:
        yield OldWorker(broker)


def publish(
    body: bytes | str,
    headers: dict[str, Any] | None = None,
    content_type: str = "application/json",
    **properties: Any,
) -> None:
    """Put a message into the default queue, well-formed or not."""
    with app.producer_or_acquire() as producer:
        producer.publish(
            body,
            headers=headers,
            content_type=content_type,
            content_encoding="utf-8",
            exchange="tasks",
            routing_key="fast",
            declare=[app.amqp.queues["fast"]],
            **properties,
        )


def pass_seconds(seconds: float) -> None:
    """Let so much time pass for runs that wait."""
    for column in ("run_at", "refused_since"):
        shifted = {
            "postgresql": f"{column} - {seconds} * interval '1 second'",
            "sqlite": f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', {column}, '-{seconds} seconds')",
        }[connection.vendor]
        sql.execute(f"UPDATE ledger_taskrun SET {column} = {shifted}")


# --- tasks that this worker does not know


def test_run_unknown_to_one_worker_waits_and_is_executed_by_another(
    old_worker: OldWorker, worker: InlineWorker
) -> None:
    result = add.delay(1, 2)

    [message] = old_worker.drain()

    run = run_of(result)
    assert message.acknowledged
    assert (run.state, run.refused_since is None) == (State.PENDING, False)
    assert run.reason == f"NotRegistered: '{add.name}'"
    worker.drain()
    assert result.get(timeout=1) == 3
    run.refresh_from_db()
    assert (run.attempts, run.reason, run.refused_since) == (1, "", None)


def test_unknown_run_is_rung_again_ever_more_rarely(old_worker: OldWorker) -> None:
    run = run_of(add.delay(1, 2))
    pauses = []
    for _ in range(14):
        old_worker.drain()
        [(pause,)] = sql.fetch(
            f"SELECT -({sql.seconds_since('run_at')}) FROM ledger_taskrun"
        )
        pauses.append(round(pause))
        pass_seconds(pause)
        relay.step()

    run.refresh_from_db()
    assert pauses[:3] == [1, 1, 1]
    assert pauses == sorted(pauses)
    assert pauses[-2:] == [30, 30]
    assert run.state == State.QUEUED


def test_run_that_no_worker_knew_for_long_is_dead_and_so_is_what_follows(
    old_worker: OldWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow: Any = chain(add.s(1, 2), add.s(3))
    result = workflow()
    old_worker.drain()
    pass_seconds(env.LEDGER_UNKNOWN_TASK_SECONDS)
    relay.step()

    old_worker.drain()

    run = run_of(result.parent)
    assert (run.state, run.attempts) == (State.DEAD, 0)
    assert add.name in run.reason
    assert loads(run.args) == [1, 2]
    with pytest.raises(NotRegistered):
        result.get(timeout=1)


def test_time_without_a_worker_counts_for_nothing_once_one_knew_the_task(
    old_worker: OldWorker,
) -> None:
    result = add.delay(1, 2)
    old_worker.drain()
    pass_seconds(2 * env.LEDGER_UNKNOWN_TASK_SECONDS)
    relay.step()
    held = Claim.take(result.id, "of a new worker")
    assert held
    held.give_back()

    old_worker.drain()

    assert run_of(result).state == State.PENDING


def test_message_of_an_earlier_call_does_not_put_a_started_run_back(
    old_worker: OldWorker,
) -> None:
    run = run_of(add.delay(1, 2))
    assert Claim.take(run.id, "of a new worker")

    old_worker.drain()

    run.refresh_from_db()
    assert run.state == State.RUNNING


def test_plain_task_unknown_to_one_worker_is_executed_by_another(
    old_worker: OldWorker, worker: InlineWorker
) -> None:
    result = plain_echo.delay("value")

    old_worker.drain()

    assert run_of(result).state == State.PENDING
    worker.drain()
    assert result.get(timeout=1) == "value"


def test_plain_task_without_a_result_leaves_no_row_that_is_rung_for_ever(
    old_worker: OldWorker, worker: InlineWorker
) -> None:
    plain_unnoticed.delay("once")

    old_worker.drain()
    worker.drain()

    assert effects() == ["once"]
    assert not list(TaskRun.objects.values_list("name", "state", "reason"))


def test_plain_task_that_nobody_knows_is_a_dead_letter(old_worker: OldWorker) -> None:
    app.send_task("gone", args=["odd"], kwargs={"key": 1}, task_id="sent", queue="fast")
    old_worker.drain()
    pass_seconds(env.LEDGER_UNKNOWN_TASK_SECONDS)
    relay.step()

    old_worker.drain()

    run = TaskRun.objects.get(pk="sent")
    assert (run.name, run.queue, run.state) == ("gone", "fast", State.DEAD)
    assert (loads(run.args), loads(run.kwargs)) == (["odd"], {"key": 1})


def test_unknown_plain_task_with_a_countdown_does_not_start_early(
    old_worker: OldWorker,
) -> None:
    app.send_task("gone", task_id="sent", queue="fast", countdown=90)

    old_worker.drain()

    [(due,)] = sql.fetch(f"SELECT -({sql.seconds_since('run_at')}) FROM ledger_taskrun")
    assert 80 < due <= 90


def test_message_that_the_database_could_not_keep_is_taken_again(
    old_worker: OldWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.send_task("gone", task_id="sent", queue="fast")
    with monkeypatch.context() as away:
        away.setattr(refused, "put_back", unreachable)
        [message] = old_worker.drain()
    assert not message.acknowledged

    [entry] = old_worker.consumer.timer.queue
    entry.entry()

    assert waiting()
    old_worker.drain()
    assert TaskRun.objects.filter(pk="sent").exists()


def unreachable(*args: object) -> None:
    raise OperationalError("server closed the connection")


# --- messages that cannot be read

WHOLE = json.dumps([[1, 2], {}, {}])
NAMED = {"task": "tests.harness.effects.tasks.add", "id": "sent"}


@pytest.mark.parametrize(
    ("send", "reason"),
    [
        (lambda: publish("{not json", NAMED), "DecodeError"),
        (lambda: publish(b"\xff\x00", NAMED), "DecodeError"),
        (lambda: publish(WHOLE, NAMED, "application/x-odd"), "ContentDisallowed"),
        (lambda: publish(b"\x80\x04K\x01.", NAMED, "application/x-python-serialize"), "ContentDisallowed"),
        (lambda: publish(WHOLE, correlation_id="sent"), "InvalidTaskError"),
        (lambda: publish("{}", correlation_id="sent"), "InvalidTaskError"),
        (lambda: publish(WHOLE, {"task": NAMED["task"]}, correlation_id="sent"), "InvalidTaskError"),
        (lambda: publish("[1]", NAMED), "InvalidTaskError"),
        (lambda: publish("5", NAMED), "InvalidTaskError"),
        (lambda: publish('{"args": 5}', NAMED), "InvalidTaskError"),
        (lambda: publish(WHOLE, {**NAMED, "compression": "zlib"}), "error"),
    ],
    ids=["bad json", "bytes", "unknown type", "pickle", "no headers", "empty", "no id",
         "short body", "number", "bad args", "bad compression"],
)  # fmt: skip
def test_unreadable_message_is_a_dead_letter_with_its_body(
    old_worker: OldWorker, send: Callable[[], None], reason: str
) -> None:
    send()

    [message] = old_worker.drain()

    assert message.acknowledged
    run = TaskRun.objects.get(pk="sent")
    assert (run.name, run.queue, run.state) == (refused.UNREADABLE, "fast", State.DEAD)
    assert reason in run.reason
    kept = loads(run.kwargs)
    assert kept["body"] and kept["content_type"]
    assert run.ended_at


def test_same_unreadable_message_twice_is_one_dead_letter(
    old_worker: OldWorker,
) -> None:
    publish("{not json")
    publish("{not json")

    old_worker.drain()

    assert TaskRun.objects.count() == 1


def test_huge_unreadable_message_is_kept_in_part(old_worker: OldWorker) -> None:
    publish("{" * 1_000_000, NAMED)

    old_worker.drain()

    body = loads(TaskRun.objects.get(pk="sent").kwargs)["body"]
    assert len(body) == refused.MAX_CHARACTERS


def test_run_whose_messages_no_worker_can_read_is_dead_in_the_end(
    old_worker: OldWorker,
) -> None:
    result = add.apply_async((1, 2), serializer="pickle")
    old_worker.drain()
    assert run_of(result).state == State.PENDING
    pass_seconds(env.LEDGER_UNKNOWN_TASK_SECONDS)
    relay.step()

    old_worker.drain()

    run = run_of(result)
    assert (run.state, loads(run.args)) == (State.DEAD, [1, 2])
    assert "pickle" in run.reason
