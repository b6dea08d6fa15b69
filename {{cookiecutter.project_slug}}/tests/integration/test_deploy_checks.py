"""System checks of a deployment, on real servers and with a real worker."""

from collections.abc import Iterator

import pytest
import redis
from django.core.checks import CheckMessage

from config import deploy_checks
from config.deploy_checks import Use
from config.queues import QUEUES
from tests.harness.fixtures import StartWorker
from tests.harness.own_redis import own_redis

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    """A Redis of this module's own, to be set up as it should not be."""
    with own_redis() as server, redis.Redis.from_url(server.url) as connected:
        yield connected


@pytest.fixture
def server(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    """That Redis as the broker, set up as it should be."""
    client.config_set("appendonly", "yes")
    client.config_set("maxmemory-policy", "noeviction")
    address = client.get_connection_kwargs()
    url = f"redis://{address['host']}:{address['port']}/0"
    monkeypatch.setattr(
        deploy_checks, "redis_uses", lambda: [Use("broker", url, keeps=True)]
    )
    return client


def found() -> list[str | None]:
    messages: list[CheckMessage] = list(deploy_checks.redis_keeps_messages(None))
    return [message.id for message in messages]


def test_redis_that_keeps_messages_passes(server: redis.Redis) -> None:
    assert found() == []


def test_redis_that_evicts_messages_is_found(server: redis.Redis) -> None:
    server.config_set("maxmemory-policy", "allkeys-lru")

    assert found() == ["config.E011"]


def test_redis_that_forgets_messages_is_found(server: redis.Redis) -> None:
    server.config_set("appendonly", "no")

    assert found() == ["config.E012"]


def test_redis_with_snapshots_alone_passes(server: redis.Redis) -> None:
    server.config_set("appendonly", "no")
    server.config_set("save", "60 1000")

    assert found() == []


def test_redis_that_is_a_cache_may_evict(
    server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.config_set("maxmemory-policy", "allkeys-lru")
    [use] = deploy_checks.redis_uses()
    monkeypatch.setattr(
        deploy_checks, "redis_uses", lambda: [use._replace(keeps=False)]
    )

    assert found() == []


def test_every_queue_but_those_of_living_workers_is_found(
    worker: StartWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy_checks, "ANSWER_SECONDS", 10)  # the cores may be shared
    worker("io", "cpu")

    messages = [error.msg for error in deploy_checks.every_queue_is_served(None)]

    unserved = [queue.name for queue in QUEUES if queue.name not in ("io", "cpu")]
    assert messages == [
        f"No living worker consumes from the queue {name!r}." for name in unserved
    ]
