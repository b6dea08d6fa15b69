"""The tasks of the notification domain, run in this process."""

import pytest
from celery.exceptions import Retry, SoftTimeLimitExceeded
from pytest import MonkeyPatch

from app.models import WebhookDelivery
from app.services import notification
from app.tasks.notification_tasks import deliver_webhook
from config.env import env
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.receivers import Receiver

pytestmark = pytest.mark.django_db

State = WebhookDelivery.State


def test_execution_delivers_and_returns_the_state(receiver: Receiver) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)

    result = deliver_webhook.apply(args=(delivery.pk,))

    assert result.get() == State.DELIVERED


def test_retry_follows_until_the_receiver_is_well(receiver: Receiver) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.answers.extend([503, 503])

    result = deliver_webhook.apply(args=(delivery.pk,))

    assert result.get() == State.DELIVERED
    assert len(receiver.requests) == 3


def test_retry_waits_longer_after_every_attempt(
    receiver: Receiver, monkeypatch: MonkeyPatch
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.answers.extend([503] * 4)
    monkeypatch.setattr("random.randrange", lambda limit: limit - 1)  # jitter's longest
    delays = []

    def record(**options: float) -> Retry:
        delays.append(options["countdown"])
        return Retry()

    monkeypatch.setattr(deliver_webhook, "retry", record)
    for attempt in range(4):
        deliver_webhook.apply(args=(delivery.pk,), retries=attempt)

    assert delays == [1, 2, 4, 8]


def test_failure_of_the_last_attempt_is_recorded(receiver: Receiver) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    attempts = 1 + (deliver_webhook.max_retries or 0)
    receiver.answers.extend([503] * attempts)

    result = deliver_webhook.apply(args=(delivery.pk,))

    delivery.refresh_from_db()
    assert isinstance(result.result, notification.WebhookUnavailable)
    assert (delivery.state, delivery.attempts) == (State.FAILED, attempts)


def test_rejection_is_not_retried(receiver: Receiver) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.answers.append(404)

    assert deliver_webhook.apply(args=(delivery.pk,)).get() == State.REJECTED
    assert len(receiver.requests) == 1


def test_idempotency_a_message_delivered_twice_sends_once(receiver: Receiver) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)

    deliver_webhook.apply(args=(delivery.pk,))
    deliver_webhook.apply(args=(delivery.pk,))

    assert len(receiver.requests) == 1


def test_rate_limit_is_per_receiver(
    receiver: Receiver, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "WEBHOOK_RATE_LIMIT", "1/hour")
    monkeypatch.setattr(deliver_webhook, "max_retries", 0)
    first, second = WebhookDeliveryFactory.create_batch(2, url=receiver.url)
    elsewhere = WebhookDeliveryFactory.create(
        url=receiver.url.replace("127.0.0.1", "localhost")
    )

    states = [
        deliver_webhook.apply(args=(delivery.pk,)).state
        for delivery in (first, second, elsewhere)
    ]

    assert states == ["SUCCESS", "FAILURE", "SUCCESS"]


def test_soft_time_limit_gives_the_delivery_up(monkeypatch: MonkeyPatch) -> None:
    delivery = WebhookDeliveryFactory.create()

    def interrupted(delivery_id: int, *, idempotency_key: str) -> WebhookDelivery:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(notification, "deliver", interrupted)

    deliver_webhook.apply(args=(delivery.pk,))

    delivery.refresh_from_db()
    assert delivery.state == State.FAILED
    assert "soft time limit" in delivery.error
