"""A worker that is given nothing, although messages wait, says so and consumes anew."""

from collections.abc import Iterator
from typing import Any

import pytest
from amqp.exceptions import ConsumerCancelled
from kombu import Connection

from config.celery import app
from ledger.deliveries import Deliveries
from tests.harness.effects.tasks import plain_echo


class SlowBroker:
    """What Celery's consumer is to `Deliveries`; messages arrive when the test says so."""

    def __init__(self, connection: Connection) -> None:
        self.channel_errors = connection.channel_errors
        self.deliveries = Deliveries(self)
        self.taken: list[Any] = []
        self._connection = connection
        channel: Any = connection  # a consumer opens one of its own
        self.task_consumer: Any = app.amqp.TaskConsumer(channel)
        self.task_consumer.on_message = self._take
        self.task_consumer.consume()

    def deliver(self) -> None:
        """Deliver one message."""
        self._connection.drain_events(timeout=1)

    def _take(self, message: Any) -> None:
        self.deliveries.arrived(message)
        self.taken.append(message)


@pytest.fixture
def broker() -> Iterator[SlowBroker]:
    """A broker with one message for a worker that takes one at a time."""
    with app.connection_for_read() as connection:
        broker = SlowBroker(connection)
        broker.task_consumer.purge()
        broker.task_consumer.qos(prefetch_count=1)
        plain_echo.delay()
        yield broker
        broker.task_consumer.purge()
        broker.task_consumer.cancel()


def test_worker_that_messages_do_not_reach_consumes_anew(broker: SlowBroker) -> None:
    broker.deliveries.look()
    assert broker.deliveries.problem == "messages wait in fast, and none arrives"

    with pytest.raises(ConsumerCancelled):
        broker.deliveries.look()


def test_message_that_was_under_way_is_no_problem(broker: SlowBroker) -> None:
    broker.deliveries.look()

    broker.deliver()

    assert broker.deliveries.problem == ""
    broker.deliveries.look()


def test_worker_that_holds_a_message_is_not_given_another(broker: SlowBroker) -> None:
    plain_echo.delay()
    broker.deliver()

    for _ in range(3):
        broker.deliveries.look()
    assert broker.deliveries.problem == ""

    broker.taken.pop().ack()
    broker.deliveries.look()
    assert broker.deliveries.problem


def test_worker_without_messages_has_no_problem(broker: SlowBroker) -> None:
    broker.task_consumer.purge()

    for _ in range(3):
        broker.deliveries.look()

    assert broker.deliveries.problem == ""


def test_worker_that_was_told_not_to_consume_has_no_problem(broker: SlowBroker) -> None:
    for queue in broker.task_consumer.queues:
        broker.task_consumer.cancel_by_queue(queue.name)

    for _ in range(3):
        broker.deliveries.look()

    assert broker.deliveries.problem == ""


def test_queue_that_is_gone_is_consumed_anew(broker: SlowBroker) -> None:
    broker.task_consumer.channel.queue_delete("fast")

    with pytest.raises(ConsumerCancelled, match="fast is gone"):
        broker.deliveries.look()
