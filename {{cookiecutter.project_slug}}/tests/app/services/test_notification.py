"""Webhook deliveries, against a real HTTP server."""

from datetime import timedelta

import pytest
from django.utils import timezone

from app.models import WebhookDelivery
from app.services import notification
from config.env import env
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.receivers import Receiver

pytestmark = pytest.mark.django_db

State = WebhookDelivery.State

KEY = "0b0e7b5c-5a3f-5d3e-9d57-1f6a0c1f2b3d"


def test_delivered_with_its_event_and_payload(receiver: Receiver) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url, event="report.imported")

    notification.deliver(delivery.pk, idempotency_key=KEY)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.status_code) == (State.DELIVERED, 200)
    assert receiver.requests[0].body == {
        "event": "report.imported",
        "data": {"answer": 42},
    }


def test_delivered_once_however_often_it_is_asked_for(receiver: Receiver) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)

    notification.deliver(delivery.pk, idempotency_key=KEY)
    notification.deliver(delivery.pk, idempotency_key=KEY)

    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_receiver_that_is_not_well_is_worth_another_attempt(
    receiver: Receiver, status: int
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.answers.append(status)

    with pytest.raises(notification.WebhookUnavailable, match=f"HTTP {status}"):
        notification.deliver(delivery.pk, idempotency_key=KEY)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.PENDING, 1)
    assert delivery.error == f"HTTP {status} from 127.0.0.1"


def test_receiver_gets_the_idempotency_key(receiver: Receiver) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.answers.append(503)

    with pytest.raises(notification.WebhookUnavailable):
        notification.deliver(delivery.pk, idempotency_key=KEY)
    notification.deliver(delivery.pk, idempotency_key=KEY)

    keys = [request.headers["idempotency-key"] for request in receiver.requests]
    assert keys == [KEY] * 2


@pytest.mark.parametrize("status", [400, 404, 410, 302])
def test_answer_that_will_not_change_rejects_the_delivery(
    receiver: Receiver, status: int
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.answers.append(status)

    notification.deliver(delivery.pk, idempotency_key=KEY)

    delivery.refresh_from_db()
    assert (delivery.state, delivery.status_code) == (State.REJECTED, status)


def test_receiver_that_hangs_is_given_up_after_the_timeout(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "WEBHOOK_TIMEOUT_SECONDS", 0.1)
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.hold()

    with pytest.raises(notification.WebhookUnavailable, match="ReadTimeout"):
        notification.deliver(delivery.pk, idempotency_key=KEY)


def test_receiver_that_does_not_listen_is_worth_another_attempt() -> None:
    delivery = WebhookDeliveryFactory.create(url="http://127.0.0.1:1/hook")

    with pytest.raises(notification.WebhookUnavailable, match="ConnectionError"):
        notification.deliver(delivery.pk, idempotency_key=KEY)


@pytest.mark.parametrize("url", ["", "receiver.example", "ftp://a.example/", "http://"])
def test_address_that_cannot_be_reached_is_refused(url: str) -> None:
    with pytest.raises(notification.InvalidWebhook, match=r"expected http\(s\)://host"):
        notification.create(url, "thing.happened", {})


@pytest.mark.parametrize("event", ["", "x" * 101])
def test_event_without_a_usable_name_is_refused(event: str) -> None:
    with pytest.raises(notification.InvalidWebhook, match="1 to 100 characters"):
        notification.create("https://receiver.example/", event, {})


def test_giving_up_keeps_the_reason_and_never_touches_a_finished_delivery() -> None:
    pending = WebhookDeliveryFactory.create()
    delivered = WebhookDeliveryFactory.create(state=State.DELIVERED)

    for delivery in (pending, delivered):
        notification.give_up(delivery.pk, reason="HTTP 503")
        delivery.refresh_from_db()

    assert (pending.state, pending.error) == (State.FAILED, "HTTP 503")
    assert (delivered.state, delivered.error) == (State.DELIVERED, "")


def test_prune_deletes_in_batches_only_what_ended_before_the_retention() -> None:
    now = timezone.now()
    old = now - timedelta(days=env.WEBHOOK_RETENTION_DAYS, hours=1)
    for finished_at in (old, old, old, now, None):
        WebhookDeliveryFactory.create(finished_at=finished_at)

    assert notification.prune(batch_size=2) == 3
    assert WebhookDelivery.objects.count() == 2
