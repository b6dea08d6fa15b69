"""Let the test process itself publish to a real broker, and forget it afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import kombu.pools
import redis

from config.celery import app

# Redis databases as `config/settings.py` uses them.
BROKER_DATABASE, CACHE_DATABASE = 0, 2

# Each is asked for a second; a busy worker may need longer than one to answer.
QUESTIONS = 15


@contextmanager
def publishing_to(url: str, *, results: str = "") -> Iterator[None]:
    """Point the Celery app of this process at a broker.

    Args:
        url: `redis://host:port`.
        results: a result backend other than the ledger.
    """
    names = ("broker_url", "broker_read_url", "broker_write_url")
    wanted = dict.fromkeys(names, f"{url}/{BROKER_DATABASE}")
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
    with redis.Redis.from_url(f"{url}/{BROKER_DATABASE}") as client:
        return int(client.llen(queue))


def unfinished(url: str, queue: str) -> int:
    """Return how many messages of a queue wait, plus those of all queues that workers hold.

    A message is held until its task has ended, because tasks acknowledge late.
    """
    with redis.Redis.from_url(f"{url}/{BROKER_DATABASE}") as client:
        return int(client.llen(queue)) + int(client.hlen("unacked"))


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


def flush(url: str) -> None:
    """Delete everything on the broker: messages, results and cache."""
    with redis.Redis.from_url(url) as client:
        client.flushall()


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
