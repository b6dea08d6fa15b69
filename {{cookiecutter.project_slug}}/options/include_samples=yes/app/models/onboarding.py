"""What a user gets on the first day."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class UserPreferences(models.Model):
    """How a user likes the service to behave; one row per user."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences"
    )
    time_zone = models.CharField(max_length=64)
    receives_digest = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[UserPreferences]] = models.Manager()

    class Meta:
        verbose_name_plural = "user preferences"

    def __str__(self) -> str:
        return f"preferences of {self.user}"
