"""Figures that outlive the reports they were computed from."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class MonthlyTotal(models.Model):
    """The totals of one month, written once: retention deletes the reports later."""

    month = models.DateField(unique=True, help_text="its first day")
    reports = models.PositiveIntegerField()
    passed = models.PositiveIntegerField()
    failed = models.PositiveIntegerField()
    errored = models.PositiveIntegerField()
    skipped = models.PositiveIntegerField()
    seconds = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager[MonthlyTotal]] = models.Manager()

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"
