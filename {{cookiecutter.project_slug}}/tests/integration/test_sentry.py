"""What Sentry is told of a task that fails, by a real worker."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.tasks.notification_tasks import deliver_webhook
from tests.harness.collectors import Collector, collecting
from tests.harness.fixtures import StartWorker, WaitUntil

pytestmark = pytest.mark.integration

PERSONAL = "ada@private.example"


@pytest.fixture
def sentry() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def events(sentry: Collector) -> list[dict[str, Any]]:
    """Return the events among what was sent: envelopes of lines of JSON."""
    found = []
    for path, body in list(sentry.bodies):
        assert path == "/api/1/envelope/"
        lines = [json.loads(line) for line in body.splitlines()]
        found += [
            payload
            for header, payload in zip(lines[1::2], lines[2::2], strict=True)
            if header["type"] == "event"
        ]
    return found


def test_failed_task_is_reported_with_its_tags_and_without_its_arguments(
    sentry: Collector, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("io", SENTRY_DSN=f"http://key@127.0.0.1:{sentry.port}/1")

    result = deliver_webhook.apply_async((PERSONAL,))

    wait_until(lambda: events(sentry))
    [event] = events(sentry)
    assert event["exception"]["values"][-1]["type"] == "ValueError"
    told = {"task", "task_id", "queue", "attempt"}
    assert {name: event["tags"][name] for name in told} == {
        "task": deliver_webhook.name,
        "task_id": result.id,
        "queue": "io",
        "attempt": "1",
    }
    assert PERSONAL not in json.dumps(event)
