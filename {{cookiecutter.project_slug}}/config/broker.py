"""The broker: a database of the Redis that the service has anyway, or RabbitMQ.

What Celery must be told of either stands here; which queues there are, in `config/queues.py`.
The ledger asks little of a broker: a message that it loses is sent again, and one that it
delivers twice finds nothing to do.
"""

from typing import Any

from kombu import Exchange, Queue

from config import queues
from config.env import Env
from config.redis import redis_url

# Seconds. A worker whose connection is dead without a word notices after two of these:
# https://www.rabbitmq.com/docs/heartbeats
HEARTBEAT_SECONDS = 20

# Deliveries of one message that ended with its worker's connection. What RabbitMQ 4 does by
# itself; without it, a plain task that kills its worker would be started for ever. A durable
# one has its own count, and is rung for again if its message goes this way:
# https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
DELIVERY_LIMIT = 20


def is_rabbitmq(env: Env) -> bool:
    """Return whether messages go through RabbitMQ."""
    return env.BROKER_URL is not None


def broker_url(env: Env) -> str:
    """Return the address of the broker."""
    return env.BROKER_URL or redis_url(env, database=0)


def task_queues(env: Env) -> list[Queue]:
    """Return the topology as Celery declares it.

    Each needs a routing key of its own: queues that share one all get every message.
    """
    if not is_rabbitmq(env):
        exchange = Exchange("tasks", type="direct")
        return [
            Queue(queue.name, exchange=exchange, routing_key=queue.name)
            for queue in queues.QUEUES
        ]
    # The countdown of a plain task is a prefix of the routing key:
    # https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/rabbitmq.html#using-quorum-queues
    exchange = Exchange("tasks", type="topic")
    return [
        Queue(
            queue.name,
            exchange=exchange,
            routing_key=queue.name,
            queue_arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
            },
            # Of the consumer, because an argument of the queue could never be changed:
            # https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout
            consumer_arguments={
                "x-consumer-timeout": env.BROKER_VISIBILITY_TIMEOUT_SECONDS * 1000
            },
        )
        for queue in queues.QUEUES
    ]


def transport_options(env: Env) -> dict[str, Any]:
    """Return what the connection to the broker is to know."""
    if is_rabbitmq(env):
        return {
            # Publishing waits until a majority of the nodes has the message:
            # https://www.rabbitmq.com/docs/confirms#publisher-confirms
            "confirm_publish": True,
            # Seconds for an answer; without them, silence would be waited for, for ever.
            "read_timeout": env.CELERY_BROKER_CONNECTION_TIMEOUT,
            "write_timeout": env.CELERY_BROKER_CONNECTION_TIMEOUT,
        }
    return {
        "visibility_timeout": env.BROKER_VISIBILITY_TIMEOUT_SECONDS,
        "queue_order_strategy": "priority",
        "socket_connect_timeout": env.CELERY_BROKER_CONNECTION_TIMEOUT,
        "socket_timeout": env.REDIS_TIMEOUT_SECONDS,
    }


def use_ssl(env: Env) -> dict[str, Any] | None:
    """Return the options of TLS to RabbitMQ; Redis takes them from its address.

    None for the name of the server means the one in the address. Without it, py-amqp
    accepts the certificate of any other server:
    https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.pyamqp.html#using-tls
    """
    if (env.BROKER_URL or "").startswith("amqps://"):
        return {"server_hostname": None}
    return None
