"""Let the test process itself publish to a real broker, and forget it afterwards.

An address is `redis://host:port`, or the whole `amqp://` URL of an `OwnRabbit`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from urllib.parse import urlsplit

import kombu.pools
import redis
from kombu import Connection

from config.celery import app
from config.queues import QUEUES
from tests.harness.own_rabbit import OwnRabbit
from tests.harness.proxy import Proxy

# Redis databases as `config/settings.py` uses them.
BROKER_DATABASE, CACHE_DATABASE = 0, 2

# Each is asked for a second; a busy worker may need longer than one to answer.
QUESTIONS = 15


@contextmanager
def publishing_to(url: str, *, results: str = "") -> Iterator[None]:
    """Point the Celery app of this process at a broker.

    Args:
        url: of the broker.
        results: a result backend other than the ledger.
    """
    names = ("broker_url", "broker_read_url", "broker_write_url")
    address = url if is_rabbitmq(url) else f"{url}/{BROKER_DATABASE}"
    wanted = dict.fromkeys(names, address)
    if results:
        wanted["result_backend"] = results
    before = {name: app.conf[name] for name in wanted}
    _forget_connections()
    app.conf.update(wanted)
    try:
        yield
    finally:
        _forget_connections()
        app.conf.update(before)


def waiting(url: str, queue: str) -> int:
    """Return how many messages of a queue no worker holds."""
    if is_rabbitmq(url):
        with Connection(url) as connection:
            channel: Any = connection.default_channel
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except connection.channel_errors:
                return 0  # no such queue
    with redis.Redis.from_url(f"{url}/{BROKER_DATABASE}") as client:
        return int(client.llen(queue))


def unfinished(url: str, queue: str) -> int:
    """Return how many messages of a queue wait, plus those of all queues that workers hold.

    A message is held until its task has ended, because tasks acknowledge late.
    """
    if is_rabbitmq(url):
        return waiting(url, queue) + OwnRabbit.running[url].unacknowledged()
    with redis.Redis.from_url(f"{url}/{BROKER_DATABASE}") as client:
        return int(client.llen(queue)) + int(client.hlen("unacked"))


def repeat(url: str, queue: str, *, times: int) -> None:
    """Put copies of all messages that wait in a queue behind them."""
    if is_rabbitmq(url):
        with Connection(url) as connection:
            channel: Any = connection.default_channel
            found = [channel.basic_get(queue) for _ in range(waiting(url, queue))]
            for message in found * times:
                channel.basic_publish(message, exchange="", routing_key=queue)
            channel.basic_recover(requeue=True)
        return
    with redis.Redis.from_url(f"{url}/{BROKER_DATABASE}") as client:
        messages = client.lrange(queue, 0, -1)
        for _ in range(times):
            client.rpush(queue, *messages)


def active_process(task_id: str) -> int:
    """Return the id of the pool process that runs a task now.

    Raises:
        LookupError: if no worker says that it runs the task, however often it is asked.
    """
    for _ in range(QUESTIONS):
        for tasks in (app.control.inspect().active() or {}).values():
            for task in tasks:
                if task["id"] == task_id:
                    return int(task["worker_pid"])
    raise LookupError(f"no worker runs task {task_id}")


def command(name: str) -> None:
    """Send a remote-control command, once a worker listens.

    A worker says that it is ready a moment earlier, and Redis keeps no command for later.

    Raises:
        LookupError: if no worker answers, however often it is asked.
    """
    for _ in range(QUESTIONS):
        if app.control.ping():
            app.control.broadcast(name, reply=False)
            return
    raise LookupError("no worker answers")


def is_rabbitmq(url: str) -> bool:
    """Return whether this is the address of a RabbitMQ."""
    return url.startswith("amqp")


def taking_back_after(url: str, seconds: int) -> AbstractContextManager[None]:
    """Take messages back from workers that hold them for longer.

    RabbitMQ has this in its own configuration, Redis in that of the workers: start them in
    this block, with `tests.harness.impatient_settings`.
    """
    if is_rabbitmq(url):
        return OwnRabbit.running[url].taking_back_after(seconds)
    return nullcontext()


def through(proxy: Proxy, url: str) -> str:
    """Return the address of a broker by way of a proxy."""
    address = urlsplit(url)
    user, at, _ = address.netloc.rpartition("@")
    return address._replace(netloc=f"{user}{at}{proxy.address}").geturl()


def flush(url: str) -> None:
    """Delete everything on the broker, also what workers hold.

    Of Redis, that includes results and cache; of RabbitMQ, the queues themselves.
    """
    if is_rabbitmq(url):
        with Connection(url) as connection:
            channel: Any = connection.default_channel
            for queue in QUEUES:
                channel.queue_delete(queue.name)
        return
    with redis.Redis.from_url(url) as client:
        client.flushall()


def delete_queue(url: str, name: str) -> None:
    """Delete a queue of RabbitMQ with its messages, and make it again at once.

    As a relay does that looks in this moment. RabbitMQ 3 then says, now and then, nothing to
    those who consume from it.
    """
    with Connection(url) as connection:
        channel: Any = connection.default_channel
        channel.queue_delete(name)
        app.amqp.queues[name].bind(channel).declare()


def _forget_connections() -> None:
    # Celery has no public way to change the broker of a running app: its pools and its
    # backend, which keep the old address, are dropped where they are cached.
    internals: Any = app
    backend = internals._backend
    if backend is not None and hasattr(backend, "result_consumer"):
        backend.result_consumer.stop()
        # A result that is garbage-collected later unsubscribes, and would reconnect.
        backend.result_consumer._pubsub = None
        backend.client.close()
    internals._backend_cache = None
    internals._local.__dict__.pop("backend", None)
    internals._pool = None
    internals.amqp._producer_pool = None
    kombu.pools.reset()
