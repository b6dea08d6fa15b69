"""Notifications that the service sends to other services."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from django.db import models


class WebhookDelivery(models.Model):
    """One event for one receiver.

    The row outlives every attempt, and so does its idempotency key: the receiver can tell
    a repeated attempt from a second event.
    """

    class State(models.TextChoices):
        """Where a delivery stands; all but `PENDING` are final."""

        PENDING = "pending"
        DELIVERED = "delivered"
        REJECTED = "rejected", "rejected by the receiver"
        FAILED = "failed", "failed after the last attempt"

    url = models.URLField(max_length=500)
    event = models.CharField(max_length=100)
    payload = models.JSONField(default=dict)
    idempotency_key = models.UUIDField(default=uuid4, unique=True, editable=False)
    state = models.CharField(
        max_length=10, choices=State.choices, default=State.PENDING
    )
    attempts = models.PositiveIntegerField(default=0)
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[WebhookDelivery]] = models.Manager()

    class Meta:
        verbose_name_plural = "webhook deliveries"
        indexes = [models.Index(fields=["finished_at"], name="webhook_finished")]

    def __str__(self) -> str:
        return f"{self.event} → {self.url} ({self.state})"
