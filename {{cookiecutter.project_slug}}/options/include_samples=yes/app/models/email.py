"""Mail to many recipients."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from django.db import models
from django.db.models.functions import Lower


class Mailing(models.Model):
    """One message for many recipients; each recipient is a `MailDelivery` of its own.

    A mailing with a `key` exists once: asking for it again finds the first one.
    """

    key = models.CharField(max_length=200, unique=True, null=True, blank=True)
    subject = models.CharField(max_length=200)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[Mailing]] = models.Manager()

    class Meta:
        indexes = [models.Index(fields=["finished_at"], name="mailing_finished")]

    def __str__(self) -> str:
        return self.subject


class MailDelivery(models.Model):
    """One message for one recipient, who gets it at most once.

        pending ─claim─> sending ─┬─> sent
           ^                      ├─> bad_address   refused for good: the address
           │                      ├─> failed        refused for good: the message
           ├──refused for now─────┤
           └─────a person─────────┴─> uncertain     nobody knows: never sent again by itself

    Only the process whose UPDATE moved the row from pending to sending may send it.
    """

    class State(models.TextChoices):
        """Where a delivery stands; all but `PENDING` and `SENDING` are final."""

        PENDING = "pending"
        SENDING = "sending"
        SENT = "sent"
        BAD_ADDRESS = "bad_address", "bad address"
        FAILED = "failed"
        UNCERTAIN = "uncertain", "interrupted while sending"

    mailing = models.ForeignKey(
        Mailing, on_delete=models.CASCADE, related_name="deliveries"
    )
    recipient = models.CharField(max_length=320)
    # Becomes the Message-ID, the same on every attempt.
    message_id = models.UUIDField(default=uuid4, unique=True, editable=False)
    state = models.CharField(
        max_length=11, choices=State.choices, default=State.PENDING
    )
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[MailDelivery]] = models.Manager()

    class Meta:
        verbose_name_plural = "mail deliveries"
        constraints = [
            models.UniqueConstraint(
                "mailing", Lower("recipient"), name="one_delivery_per_recipient"
            )
        ]
        indexes = [models.Index(fields=["mailing", "state"], name="delivery_state")]

    def __str__(self) -> str:
        return f"{self.recipient} ({self.state})"
