"""Admin pages of the notification domain."""

from django.contrib import admin

from app.admin.read_only import ReadOnly
from app.models import WebhookDelivery


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnly, admin.ModelAdmin[WebhookDelivery]):
    """Deliveries, newest first."""

    list_display = ("event", "url", "state", "attempts", "created_at")
    list_filter = ("state", "event")
    search_fields = ("url", "event", "idempotency_key")
    ordering = ("-created_at",)
    readonly_fields = ("idempotency_key", "attempts", "created_at", "finished_at")
