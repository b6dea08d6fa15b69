"""What tasks did: one row per effect."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Effect(models.Model):
    """One effect of one attempt."""

    key = models.CharField(max_length=500, db_index=True)
    run_id = models.CharField(max_length=255, blank=True)
    attempt_key = models.CharField(max_length=100, blank=True)
    pid = models.IntegerField(default=0)
    at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[Effect]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.key} by {self.run_id}"
