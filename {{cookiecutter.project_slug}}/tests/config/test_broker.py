"""What Celery is told of Redis and of RabbitMQ."""

import pytest

from config import broker
from config.env import Env, load
from config.queues import QUEUES

LONGEST = max(queue.time_limit for queue in QUEUES)


@pytest.fixture
def on_redis() -> Env:
    return load(BROKER_URL=None, REDIS_URL="redis://:secret@cache:6379")


@pytest.fixture
def on_rabbitmq() -> Env:
    return load(BROKER_URL="amqps://user:secret@rabbit/host")


def test_without_an_address_of_its_own_the_broker_is_database_0_of_redis(
    on_redis: Env, on_rabbitmq: Env
) -> None:
    assert broker.broker_url(on_redis) == "redis://:secret@cache:6379/0"
    assert broker.broker_url(on_rabbitmq) == "amqps://user:secret@rabbit/host"


def test_every_queue_has_a_routing_key_of_its_own(
    on_redis: Env, on_rabbitmq: Env
) -> None:
    # Queues that share one would all receive a copy of every message.
    names = [queue.name for queue in QUEUES]

    for env in (on_redis, on_rabbitmq):
        assert [queue.routing_key for queue in broker.task_queues(env)] == names


def test_every_queue_of_rabbitmq_is_replicated_and_ends_poison(
    on_rabbitmq: Env,
) -> None:
    for queue in broker.task_queues(on_rabbitmq):
        arguments = queue.queue_arguments or {}
        assert arguments["x-queue-type"] == "quorum"
        assert arguments["x-delivery-limit"] > 0


def test_countdown_of_a_plain_task_can_be_part_of_the_routing_key(
    on_rabbitmq: Env,
) -> None:
    # A direct exchange would let the message occupy a worker until its time has come.
    exchanges = {queue.exchange.type for queue in broker.task_queues(on_rabbitmq)}

    assert exchanges == {"topic"}


def test_message_is_not_taken_back_while_its_task_may_still_run(
    on_redis: Env, on_rabbitmq: Env
) -> None:
    assert broker.transport_options(on_redis)["visibility_timeout"] > LONGEST
    for queue in broker.task_queues(on_rabbitmq):
        arguments = queue.consumer_arguments or {}
        assert arguments["x-consumer-timeout"] > LONGEST * 1000


def test_publishing_to_rabbitmq_is_confirmed_and_does_not_wait_for_ever(
    on_rabbitmq: Env,
) -> None:
    options = broker.transport_options(on_rabbitmq)

    assert options["confirm_publish"] is True
    assert options["read_timeout"] == options["write_timeout"] > 0


def test_certificate_must_be_that_of_the_server_in_the_address(
    on_redis: Env, on_rabbitmq: Env
) -> None:
    assert broker.use_ssl(on_rabbitmq) == {"server_hostname": None}
    assert broker.use_ssl(load(BROKER_URL="amqp://rabbit")) is None
    assert broker.use_ssl(on_redis) is None
