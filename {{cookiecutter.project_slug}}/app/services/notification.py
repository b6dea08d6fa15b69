"""Notifications to other services by webhook."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import requests
from django.db.models import F
from django.utils import timezone

from app.models import WebhookDelivery
from app.services.errors import PermanentError, TransientError
from config.env import env

State = WebhookDelivery.State

# The draft standard's header, which Stripe and others honour:
# https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
IDEMPOTENCY_HEADER = "Idempotency-Key"

MAX_ERROR_CHARACTERS = 500


class InvalidWebhook(PermanentError):
    """The address or the event cannot be delivered to anyone."""


class WebhookUnavailable(TransientError):
    """The receiver did not answer, or answered that it is not well (5xx, 429)."""


def create(
    url: str, event: str, payload: dict[str, Any], *, key: UUID | None = None
) -> WebhookDelivery:
    """Record an event that is to be delivered.

    Args:
        url: where to; `http` or `https` with a host.
        event: what happened, such as `report.imported`.
        payload: the details, as JSON.
        key: makes the call repeatable: a second one with the same key returns the first
            delivery, whatever its other arguments.

    Returns:
        The delivery; pending if it is new.

    Raises:
        InvalidWebhook: naming the wrong field and what is accepted.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidWebhook(f"url {url!r}: expected http(s)://host/path")
    if not event or len(event) > 100:
        raise InvalidWebhook(f"event {event!r}: expected 1 to 100 characters")
    delivery, _ = WebhookDelivery.objects.get_or_create(
        idempotency_key=key or uuid4(),
        defaults={"url": url, "event": event, "payload": payload},
    )
    return delivery


def receiver(delivery_id: int) -> str:
    """Return the host that a delivery goes to, for its rate limit."""
    url = WebhookDelivery.objects.values_list("url", flat=True).get(pk=delivery_id)
    return urlsplit(url).hostname or ""


def deliver(delivery_id: int, *, idempotency_key: str) -> WebhookDelivery:
    """Try once to deliver; a delivery that already ended is left as it is.

    A crash between the receiver's answer and our note of it repeats the request: by the
    key, the receiver can tell.

    Args:
        delivery_id: primary key of the delivery.
        idempotency_key: for the receiver; the same on every attempt.

    Returns:
        The delivery: delivered, or rejected if the receiver answered 4xx.

    Raises:
        WebhookUnavailable: worth another attempt.
    """
    delivery = WebhookDelivery.objects.get(pk=delivery_id)
    if delivery.state != State.PENDING:
        return delivery
    WebhookDelivery.objects.filter(pk=delivery_id).update(attempts=F("attempts") + 1)
    try:
        response = requests.post(
            delivery.url,
            json={"event": delivery.event, "data": delivery.payload},
            headers={IDEMPOTENCY_HEADER: idempotency_key},
            timeout=env.WEBHOOK_TIMEOUT_SECONDS,
            allow_redirects=False,
        )
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _unavailable(delivery, type(error).__name__) from error
    status = response.status_code
    if status >= 500 or status == 429:
        raise _unavailable(delivery, f"HTTP {status}")
    if 200 <= status < 300:
        return _finish(delivery, State.DELIVERED, status_code=status)
    return _finish(
        delivery,
        State.REJECTED,
        status_code=status,
        error=response.text[:MAX_ERROR_CHARACTERS],
    )


def give_up(delivery_id: int, reason: str) -> None:
    """Mark a delivery as failed after its last attempt; it keeps the reason."""
    delivery = WebhookDelivery.objects.get(pk=delivery_id)
    if delivery.state == State.PENDING:
        _finish(delivery, State.FAILED, error=reason[:MAX_ERROR_CHARACTERS])


def prune(*, batch_size: int = 1000) -> int:
    """Delete deliveries that ended longer than `WEBHOOK_RETENTION_DAYS` ago.

    Args:
        batch_size: rows per DELETE, so that no lock is held for long.

    Returns:
        How many rows were deleted.
    """
    oldest = timezone.now() - timedelta(days=env.WEBHOOK_RETENTION_DAYS)
    expired = WebhookDelivery.objects.filter(finished_at__lt=oldest)
    total = 0
    while batch := list(expired.values_list("pk", flat=True)[:batch_size]):
        total += WebhookDelivery.objects.filter(pk__in=batch).delete()[0]
    return total


def _unavailable(delivery: WebhookDelivery, reason: str) -> WebhookUnavailable:
    """Note why an attempt failed; the host alone, because a path may hold a secret."""
    reason = f"{reason} from {urlsplit(delivery.url).hostname}"
    WebhookDelivery.objects.filter(pk=delivery.pk).update(error=reason)
    return WebhookUnavailable(reason)


def _finish(
    delivery: WebhookDelivery,
    state: WebhookDelivery.State,
    *,
    status_code: int | None = None,
    error: str = "",
) -> WebhookDelivery:
    delivery.state = state
    delivery.status_code = status_code
    delivery.error = error
    delivery.finished_at = timezone.now()
    delivery.save(update_fields=["state", "status_code", "error", "finished_at"])
    return delivery
