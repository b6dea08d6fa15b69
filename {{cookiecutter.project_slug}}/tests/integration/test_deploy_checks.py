"""System checks of a deployment, on real servers and with a real worker."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis
from django.core.checks import CheckMessage

from config import deploy_checks
from config.deploy_checks import Use
from config.queues import QUEUES
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.own_redis import own_redis
from tests.harness.processes import ROOT, environment
from tools.dev.broker import Broker

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
    worker: StartWorker, wait_until: WaitUntil, broker: Broker
) -> None:
    worker("io", "cpu")

    def unserved() -> set[str]:
        finished = subprocess.run(
            [sys.executable, "manage.py", "check", "--deploy"],
            cwd=ROOT,
            env={**os.environ, **environment(broker.url)},
            capture_output=True,
            text=True,
        )
        return set(re.findall(r"No living worker .* queue '(\w+)'", finished.stderr))

    # Again and again, because a worker on a busy machine may answer too late.
    wait_until(
        lambda: unserved() == {queue.name for queue in QUEUES} - {"io", "cpu"},
        timeout=90,
    )
