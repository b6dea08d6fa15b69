"""The tables of the business, one module per domain."""

from app.models.notification import WebhookDelivery

__all__ = ["WebhookDelivery"]
