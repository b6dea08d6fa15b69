"""Fixtures that every kind of test uses."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.test import Client
from kombu.transport.memory import Channel

from app.tasks.utils import rate_limiting
from config.celery import app
from config.env import env
from ledger import doorbell
from tests.harness.inline import InlineWorker
from tests.harness.receivers import Receiver, receiving
from tests.helpers.tester import TaskTester

pytest_plugins = ["tests.helpers.plugin"]


@pytest.fixture(autouse=True)
def _clean_slate() -> None:
    """Forget what earlier tests left in the cache and in the rate limits."""
    cache.clear()
    rate_limiting._limiter.cache_clear()


@pytest.fixture
def inline_worker(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InlineWorker]:
    """A worker in this process: `delay()` what you like, then `drain()`.

    The broker in memory is empty at first, and no earlier failure keeps anyone from it.
    """
    app.finalize()
    app.loader.import_default_modules()
    Channel.queues.clear()
    monkeypatch.setattr(doorbell, "_down_until", {})
    yield InlineWorker()
    Channel.queues.clear()


@pytest.fixture
def tasks(
    inline_worker: InlineWorker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TaskTester]:
    """Run tasks for real in this process: `tasks.run(task, 1).result`."""
    with TaskTester(inline_worker, monkeypatch) as tester:
        yield tester


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real HTTP server that receives webhooks."""
    with receiving() as running:
        yield running


@pytest.fixture
def api() -> Client:
    """A client that sends the API's bearer token."""
    token = env.API_TOKEN.get_secret_value()
    return Client(headers={"Authorization": f"Bearer {token}"})
