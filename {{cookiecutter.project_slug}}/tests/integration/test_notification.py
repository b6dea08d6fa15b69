"""A notification on its whole way: API, broker, worker, receiver."""

from collections.abc import Callable

import pytest
from django.test import Client

from app.models import WebhookDelivery
from app.services.notification import IDEMPOTENCY_HEADER
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.receivers import Receiver

pytestmark = pytest.mark.integration

State = WebhookDelivery.State


def send(api: Client, receiver: Receiver, **headers: str) -> WebhookDelivery:
    body = {"url": receiver.url, "event": "report.imported", "payload": {"cases": 3}}
    response = api.post(
        "/api/notifications", body, content_type="application/json", headers=headers
    )
    assert response.status_code == 202, response.content
    return WebhookDelivery.objects.get(pk=response.json()["id"])


def ended(delivery: WebhookDelivery) -> Callable[[], bool]:
    def delivery_has_ended() -> bool:
        delivery.refresh_from_db()
        return delivery.state != State.PENDING

    return delivery_has_ended


def test_event_sent_to_the_api_reaches_the_receiver(
    api: Client, receiver: Receiver, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("io")

    delivery = send(api, receiver)

    receiver.wait_for(1)
    wait_until(ended(delivery))
    assert receiver.requests[0].body == {
        "event": "report.imported",
        "data": {"cases": 3},
    }
    assert delivery.state == State.DELIVERED


def test_request_id_follows_from_the_api_into_the_logs_of_the_task(
    api: Client, receiver: Receiver, worker: StartWorker, wait_until: WaitUntil
) -> None:
    io = worker("io")

    send(api, receiver, **{"X-Request-ID": "request-from-proxy"})

    wait_until(lambda: io.records("task ended"))
    [record] = io.records("task ended")
    assert record["request_id"] == "request-from-proxy"
    assert (record["queue"], record["attempt"]) == ("io", 1)


def test_receiver_that_recovers_gets_the_same_idempotency_key_again(
    api: Client, receiver: Receiver, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("io")
    receiver.answers.append(503)

    delivery = send(api, receiver)

    wait_until(ended(delivery))
    assert (delivery.state, delivery.attempts) == (State.DELIVERED, 2)
    keys = [
        request.headers[IDEMPOTENCY_HEADER.lower()] for request in receiver.requests
    ]
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_event_that_the_receiver_rejects_is_not_sent_again(
    api: Client, receiver: Receiver, worker: StartWorker, wait_until: WaitUntil
) -> None:
    io = worker("io")
    receiver.answers.append(422)

    delivery = send(api, receiver)

    wait_until(lambda: io.records("task ended"))
    delivery.refresh_from_db()
    assert (delivery.state, delivery.status_code) == (State.REJECTED, 422)
    assert len(receiver.requests) == 1
