"""Mailings over HTTP."""

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from app.models import Mailing
from tests.factories.email import MailDeliveryFactory

pytestmark = pytest.mark.django_db

BODY = {"subject": "News", "body": "Text", "recipients": ["alice@example.org", "bob"]}


def test_accepted_mailing_is_enqueued_only_after_the_commit(
    api: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        response = api.post("/api/mailings", BODY, content_type="application/json")

    deliveries = response.json()["deliveries"]
    assert response.status_code == 202
    assert (deliveries["pending"], deliveries["bad_address"]) == (1, 1)
    assert len(callbacks) == 1


def test_request_repeated_with_its_idempotency_key_is_one_mailing(api: Client) -> None:
    first, second = (
        api.post(
            "/api/mailings",
            BODY,
            content_type="application/json",
            headers={"Idempotency-Key": "42"},
        ).json()
        for _ in range(2)
    )

    assert first == second
    assert Mailing.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("not json", "expected JSON with subject"),
        ("[]", "expected JSON with subject"),
        ('{"subject": "s", "body": "b"}', "expected JSON with subject"),
        (
            '{"subject": "s", "body": "b", "recipients": "a@example.org"}',
            "a list of recipients",
        ),
        ('{"subject": "s", "body": "b", "recipients": []}', "expected at least one"),
        (
            '{"subject": "", "body": "b", "recipients": ["a@b.org"]}',
            "expected one line",
        ),
    ],
)
def test_bad_body_is_refused_with_what_is_accepted(
    api: Client, body: str, error: str
) -> None:
    response = api.post("/api/mailings", body, content_type="application/json")

    assert response.status_code == 400
    assert error in response.json()["error"]
    assert not Mailing.objects.exists()


def test_progress_of_a_mailing_can_be_looked_up(api: Client) -> None:
    delivery = MailDeliveryFactory.create(state="sent")
    MailDeliveryFactory.create(mailing=delivery.mailing)

    shown = api.get(f"/api/mailings/{delivery.mailing_id}").json()

    assert not shown["finished"]
    assert (shown["deliveries"]["sent"], shown["deliveries"]["total"]) == (1, 2)


def test_unknown_mailing_is_not_found(api: Client) -> None:
    assert api.get("/api/mailings/404").status_code == 404


@pytest.mark.parametrize("path", ["/api/mailings", "/api/mailings/1"])
def test_request_without_the_token_is_refused(client: Client, path: str) -> None:
    assert client.generic("POST", path).status_code == 401
