"""Fixtures that start real servers and real workers.

A test that asks for `worker` gets a clean broker, a database that the worker sees too, and
a Celery app that publishes to that broker. The `conftest.py` of `tests/integration`,
`tests/chaos` and `tests/performance` import these by name.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import pytest
from pytest_django import Settings

from config.env import env as environment
from tests.harness import processes
from tests.harness.broker import CACHE_DATABASE, flush, publishing_to
from tests.harness.own_rabbit import own_rabbit
from tests.harness.processes import STOP_SECONDS, Worker
from tests.settings import ON_RABBITMQ
from tools.dev import broker as embedded


class StartWorker(Protocol):
    """The type of the fixture `worker`."""

    def __call__(
        self, *queues: str, ready: bool = True, broker_url: str = "", **env: str
    ) -> Worker: ...


class WaitUntil(Protocol):
    """The type of the fixture `wait_until`."""

    def __call__(
        self, condition: Callable[[], object], timeout: float = 30
    ) -> None: ...


@pytest.fixture(scope="session")
def broker_server() -> Iterator[embedded.Broker]:
    """The Redis of the whole run: on a free port, never the developer's own."""
    with embedded.broker() as server:
        if server.warning:
            # Shown in the summary; as an error it would stop the run.
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn(server.warning, stacklevel=1)
        yield server


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[embedded.Broker]:
    """The RabbitMQ of the whole run (`TEST_BROKER=rabbitmq`): on free ports, our own."""
    with own_rabbit() as server:
        yield embedded.Broker(server.url, kind="rabbitmq-server")


@pytest.fixture
def broker(
    broker_server: embedded.Broker, settings: Settings, request: pytest.FixtureRequest
) -> Iterator[embedded.Broker]:
    """An empty broker, to which this process publishes, and an empty cache."""
    flush(broker_server.url)
    cache_url = f"{broker_server.url}/{CACHE_DATABASE}"
    settings.RATE_LIMIT_STORAGE_URL = cache_url
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": cache_url,
            "KEY_PREFIX": environment.SERVICE_NAME,
        }
    }
    used = broker_server
    if ON_RABBITMQ:
        used = request.getfixturevalue("rabbit_server")
        flush(used.url)
    with publishing_to(used.url):
        yield used


@pytest.fixture
def running(transactional_db: None) -> Iterator[list[Worker]]:
    """The workers of this test; all are stopped before its database is emptied."""
    workers: list[Worker] = []
    yield workers
    for worker in workers:
        worker.ask_to_stop()  # all at once, because each takes its time
    for worker in workers:
        worker.stop(STOP_SECONDS)


@pytest.fixture
def worker(broker: embedded.Broker, running: list[Worker]) -> StartWorker:
    """Start the worker of some queues: `worker("io", WEBHOOK_RATE_LIMIT="9/second")`.

    Keywords are settings of that worker. It consumes when the call returns, unless
    `ready=False`: then several can start at once, and `wait_until_ready()` follows. It uses
    the broker of the fixture of that name, or the one at `broker_url`.
    """

    def start(
        *queues: str, ready: bool = True, broker_url: str = "", **env: str
    ) -> Worker:
        started = Worker(*queues, broker_url=broker_url or broker.url, env=env)
        running.append(started)
        if ready:
            started.wait_until_ready()
        return started

    return start


@pytest.fixture
def wait_until(running: list[Worker]) -> WaitUntil:
    """Wait for a condition; a failure shows the last lines of this test's workers."""
    return partial(processes.wait_until, processes=running)
