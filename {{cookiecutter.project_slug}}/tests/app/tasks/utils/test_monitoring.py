"""What is logged of a task."""

import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import structlog
from celery import signals
from celery.app.task import Context
from structlog.testing import capture_logs
from structlog.typing import EventDict

from app.tasks.notification_tasks import deliver_webhook
from app.tasks.utils import monitoring
from config.logs import REQUEST_ID
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.receivers import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EventDict]]:
    processors = [structlog.contextvars.merge_contextvars]
    with capture_logs(processors=processors) as captured:
        # A logger made before the capture keeps the processors that it was made with.
        fresh = structlog.stdlib.get_logger("app.tasks")
        monkeypatch.setattr(monitoring, "log", fresh)
        yield captured


def test_start_and_end_are_logged_with_ids_queue_attempt_and_seconds(
    receiver: Receiver, lines: list[EventDict]
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)

    result = deliver_webhook.apply(args=(delivery.pk,))

    started, ended = lines
    assert (started["event"], ended["event"]) == ("task started", "task ended")
    assert started["task"] == "app.tasks.notification_tasks.deliver_webhook"
    assert started["task_id"] == ended["task_id"] == result.id
    assert {"root_id", "parent_id", "queue"} <= started.keys()
    assert started["attempt"] == 1
    assert started["waiting_seconds"] >= 0
    assert ended["running_seconds"] >= 0
    assert ended["state"] == "SUCCESS"


def test_arguments_are_logged_as_types_because_they_may_be_personal(
    receiver: Receiver, lines: list[EventDict]
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)

    deliver_webhook.apply(kwargs={"delivery_id": delivery.pk})

    assert lines[0]["keywords"] == {"delivery_id": "int"}
    assert monitoring.describe(("ann@example.org", [1])) == ["str", "list"]


def test_retry_is_logged_with_its_reason_and_the_attempts_count_up(
    receiver: Receiver, lines: list[EventDict]
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.answers.append(503)

    deliver_webhook.apply(args=(delivery.pk,))

    retried = [line for line in lines if line["event"] == "task will be retried"]
    attempts = [line["attempt"] for line in lines if line["event"] == "task started"]
    assert [line["reason"] for line in retried] == ["WebhookUnavailable"]
    assert re.fullmatch(r"in \d+s", retried[0]["again"])
    assert sorted(attempts) == [1, 2]


def test_failure_is_logged_as_an_error(lines: list[EventDict]) -> None:
    deliver_webhook.apply(args=(404,))  # no such delivery

    failed = [line for line in lines if line["event"] == "task failed"]
    assert [line["error"] for line in failed] == ["DoesNotExist"]
    assert failed[0]["log_level"] == "error"


def test_message_carries_the_request_id_of_the_web_request() -> None:
    headers = {"root_id": "root"}

    with structlog.contextvars.bound_contextvars(request_id="from-the-web"):
        signals.before_task_publish.send(sender="any", headers=headers)

    assert headers[REQUEST_ID] == "from-the-web"
    assert monitoring.ENQUEUED_AT in headers


def test_unknown_and_revoked_tasks_are_logged(lines: list[EventDict]) -> None:
    sent = {REQUEST_ID: "from-the-web"}
    message = SimpleNamespace(headers=sent)
    signals.task_unknown.send(
        sender=None, name="gone", id="1", message=message, exc=None
    )
    signals.task_revoked.send(
        sender=None,
        request=Context({"task": "late", "id": "2", **sent}),
        terminated=False,
        signum=None,
        expired=True,
    )

    assert [(line["event"], line["task"], line["request_id"]) for line in lines] == [
        ("task unknown to this worker", "gone", "from-the-web"),
        ("task revoked", "late", "from-the-web"),
    ]
