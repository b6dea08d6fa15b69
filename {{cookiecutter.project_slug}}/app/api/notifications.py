"""Webhook deliveries over HTTP."""

import json
from uuid import UUID

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST

from app.api.auth import token_required
from app.models import WebhookDelivery
from app.services import notification
from app.tasks.notification_tasks import deliver_webhook


@token_required
@require_POST
def create(request: HttpRequest) -> JsonResponse:
    """Accept `{"url": …, "event": …, "payload": {…}}` and deliver it in the background.

    A client that repeats a request with the same `Idempotency-Key` header, a UUID, gets the
    first delivery again.
    """
    try:
        body = json.loads(request.body)
        url, event, payload = body["url"], body["event"], body.get("payload", {})
        sent_key = request.headers.get("Idempotency-Key")
        key = UUID(sent_key) if sent_key else None
    except (ValueError, KeyError, TypeError, AttributeError):
        message = "expected JSON with url and event, and a UUID as Idempotency-Key"
        return JsonResponse({"error": message}, status=400)
    try:
        with transaction.atomic():
            delivery = notification.create(str(url), str(event), payload, key=key)
            if delivery.state == WebhookDelivery.State.PENDING:
                # One run per delivery for ever: its id is the delivery's own key.
                deliver_webhook.apply_async(
                    (delivery.pk,), task_id=str(delivery.idempotency_key)
                )
    except notification.InvalidWebhook as error:
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse(_describe(delivery), status=202)


@token_required
@require_GET
def show(request: HttpRequest, delivery_id: int) -> JsonResponse:
    """Show where a delivery stands."""
    return JsonResponse(_describe(get_object_or_404(WebhookDelivery, pk=delivery_id)))


def _describe(delivery: WebhookDelivery) -> dict[str, object]:
    return {
        "id": delivery.pk,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "status_code": delivery.status_code,
        "error": delivery.error,
    }
