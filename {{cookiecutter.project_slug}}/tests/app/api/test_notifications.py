"""Webhook deliveries over HTTP."""

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from app.models import WebhookDelivery
from tests.factories.notification import WebhookDeliveryFactory

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
    assert api.get("/api/notifications/404").status_code == 404
