"""Mailings over HTTP."""

import json

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST

from app.api.auth import token_required
from app.models import Mailing
from app.services import email
from app.tasks.email_tasks import send_bulk


@token_required
@require_POST
def create(request: HttpRequest) -> JsonResponse:
    """Accept `{"subject": …, "body": …, "recipients": […]}` and mail it.

    A client that repeats a request with the same `Idempotency-Key` header gets the first
    mailing again, and nobody gets a second message.
    """
    try:
        body = json.loads(request.body)
        subject, text = str(body["subject"]), str(body["body"])
        if not isinstance(body["recipients"], list):
            raise TypeError
        recipients = [str(address) for address in body["recipients"]]
    except (ValueError, KeyError, TypeError):
        message = "expected JSON with subject, body and a list of recipients"
        return JsonResponse({"error": message}, status=400)
    sent_key = request.headers.get("Idempotency-Key")
    key = f"api:{sent_key}" if sent_key else None
    try:
        with transaction.atomic():
            mailing = email.create(subject, text, recipients, key=key)
            send_bulk.delay(mailing.pk)
    except email.InvalidMailing as error:
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse(_describe(mailing), status=202)


@token_required
@require_GET
def show(request: HttpRequest, mailing_id: int) -> JsonResponse:
    """Show how far a mailing is."""
    return JsonResponse(_describe(get_object_or_404(Mailing, pk=mailing_id)))


def _describe(mailing: Mailing) -> dict[str, object]:
    return {
        "id": mailing.pk,
        "finished": mailing.finished_at is not None,
        "deliveries": email.counts(mailing.pk),
    }
