"""Webhook deliveries over HTTP."""

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from app.models import WebhookDelivery
from app.tasks.notification_tasks import deliver_webhook
from config.env import NO_BROKER_URL
from ledger.models import TaskRun
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.broker import publishing_to

pytestmark = pytest.mark.django_db

BODY = {"url": "https://receiver.example/hook", "event": "thing.happened"}


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic wrong"}]
)
def test_request_without_the_token_is_refused(
    client: Client, header: dict[str, str]
) -> None:
    response = client.post(
        "/api/notifications", BODY, content_type="application/json", headers=header
    )

    assert response.status_code == 401
    assert not WebhookDelivery.objects.exists()


def test_accepted_event_is_enqueued_only_after_the_commit(
    api: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        response = api.post("/api/notifications", BODY, content_type="application/json")

    assert response.status_code == 202
    assert response.json()["state"] == "pending"
    assert len(callbacks) == 1


def test_repeated_request_with_its_key_gets_the_first_delivery(api: Client) -> None:
    key = {"Idempotency-Key": "6f3c2f7e-7d6c-4b58-9d57-1f6a0c1f2b3d"}

    first, second = (
        api.post(
            "/api/notifications", BODY, content_type="application/json", headers=key
        )
        for _ in range(2)
    )

    assert first.json()["id"] == second.json()["id"]
    assert str(WebhookDelivery.objects.get().idempotency_key) == key["Idempotency-Key"]
    assert TaskRun.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_broker_that_is_down_neither_loses_the_delivery_nor_refuses_the_request(
    api: Client,
) -> None:
    with publishing_to(NO_BROKER_URL):
        response = api.post("/api/notifications", BODY, content_type="application/json")

    assert response.status_code == 202
    assert TaskRun.objects.waiting().get().name == deliver_webhook.name


def test_key_that_is_no_uuid_is_refused(api: Client) -> None:
    response = api.post(
        "/api/notifications",
        BODY,
        content_type="application/json",
        headers={"Idempotency-Key": "first"},
    )

    assert response.status_code == 400
    assert "UUID" in response.json()["error"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("not json", "expected JSON with url and event"),
        ("[]", "expected JSON with url and event"),
        ('{"event": "x"}', "expected JSON with url and event"),
        ('{"url": "ftp://x/", "event": "x"}', "expected http"),
    ],
)
def test_bad_body_is_refused_with_what_is_accepted(
    api: Client, body: str, error: str
) -> None:
    response = api.post("/api/notifications", body, content_type="application/json")

    assert response.status_code == 400
    assert error in response.json()["error"]


def test_delivery_can_be_looked_up(api: Client) -> None:
    delivery = WebhookDeliveryFactory.create(state="failed", error="HTTP 503")

    shown = api.get(f"/api/notifications/{delivery.pk}").json()

    assert (shown["state"], shown["error"]) == ("failed", "HTTP 503")


def test_unknown_delivery_is_not_found(api: Client) -> None:
    response = api.get("/api/notifications/404")

    assert (response.status_code, response.json()) == (404, {"error": "not found"})
