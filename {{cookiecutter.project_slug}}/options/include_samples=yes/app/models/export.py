"""Files that people download."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from app.models.imports import CaseResult, Report


class Export(models.Model):
    """The cases of a report as CSV; one per report and selection of cases.

    pending ──> running ──> done
       ^           │
       └── failed <┘          asking for a failed one again makes it pending
    """

    class State(models.TextChoices):
        """Where an export stands; only `DONE` has a file to download."""

        PENDING = "pending"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    report = models.ForeignKey(Report, on_delete=models.CASCADE, related_name="exports")
    outcome = models.CharField(
        max_length=7,
        choices=CaseResult.Outcome.choices,
        blank=True,
        help_text="only these cases; empty: all",
    )
    state = models.CharField(max_length=7, choices=State.choices, default=State.PENDING)
    # While the export runs, the file that is being written: it says which attempt owns
    # the row, and what to remove if that attempt dies.
    file = models.FileField(upload_to="exports/", blank=True)
    rows = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[Export]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["report", "outcome"], name="export_once_per_selection"
            )
        ]
        indexes = [models.Index(fields=["finished_at"], name="export_finished")]

    def __str__(self) -> str:
        return f"{self.outcome or 'all'} cases of {self.report} ({self.state})"
