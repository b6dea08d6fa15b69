"""Test reports that the service imports, from the upload to every single case.

A report is known by the digest of its bytes, a chunk by its number in the report, a case by
its position in the file. These three unique constraints are what makes every step of an
import safe to repeat: doing it again finds the rows already there.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class ReportQuerySet(models.QuerySet["Report"]):
    """Reports by where they stand."""

    def unfinished(self) -> ReportQuerySet:
        """Reports that are still to be imported, or are being imported."""
        return self.filter(state__in=(Report.State.PENDING, Report.State.RUNNING))

    def not_done(self) -> ReportQuerySet:
        """Reports without a summary: unfinished or failed."""
        return self.exclude(state=Report.State.DONE)


class Report(models.Model):
    """One uploaded file, which is imported once however often it is sent."""

    class State(models.TextChoices):
        """Where an import stands; a failed one starts again when the file is sent again."""

        PENDING = "pending"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    digest = models.CharField(max_length=64, unique=True, editable=False)
    name = models.CharField(max_length=255)
    upload = models.FileField(upload_to="reports/")
    size = models.PositiveBigIntegerField(help_text="bytes")
    # Kept with the report: a repeated extraction must cut the same chunks after a change
    # of the setting.
    chunk_size = models.PositiveIntegerField(help_text="cases")
    state = models.CharField(
        max_length=10, choices=State.choices, default=State.PENDING
    )
    error = models.TextField(blank=True)
    bytes_read = models.PositiveBigIntegerField(default=0)
    total_chunks = models.PositiveIntegerField(
        null=True, blank=True, help_text="known once the whole file has been read"
    )
    summary = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[Report]] = models.Manager.from_queryset(
        ReportQuerySet
    )()

    class Meta:
        indexes = [models.Index(fields=["state", "updated_at"], name="report_progress")]

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"


class ReportChunkQuerySet(models.QuerySet["ReportChunk"]):
    """Chunks by where they stand."""

    def loaded(self) -> ReportChunkQuerySet:
        """Chunks whose cases are in the table of results."""
        return self.filter(state=ReportChunk.State.LOADED)

    def not_loaded(self) -> ReportChunkQuerySet:
        """Chunks that still have a stage before them."""
        return self.exclude(state=ReportChunk.State.LOADED)


class ReportChunk(models.Model):
    """Some consecutive cases of a report, on their way through the stages.

    `cases` holds what the last stage left for the next one, so that tasks pass only ids; it
    is emptied once the cases are loaded.
    """

    class State(models.TextChoices):
        """The stage that a chunk has behind it."""

        EXTRACTED = "extracted"
        VALIDATED = "validated"
        TRANSFORMED = "transformed"
        LOADED = "loaded"

    report = models.ForeignKey(Report, models.CASCADE, related_name="chunks")
    number = models.PositiveIntegerField(help_text="1 is the first")
    state = models.CharField(
        max_length=11, choices=State.choices, default=State.EXTRACTED
    )
    cases = models.JSONField(default=list)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[models.Manager[ReportChunk]] = models.Manager.from_queryset(
        ReportChunkQuerySet
    )()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["report", "number"], name="chunk_once_per_report"
            )
        ]

    def __str__(self) -> str:
        return f"chunk {self.number} of report {self.report_id} ({self.state})"


class CaseResult(models.Model):
    """What became of one test case."""

    class Outcome(models.TextChoices):
        """As JUnit tells them apart: a failure is asserted, an error is unexpected."""

        PASSED = "passed"
        FAILED = "failed"
        ERRORED = "errored"
        SKIPPED = "skipped"

    report = models.ForeignKey(Report, models.CASCADE, related_name="results")
    position = models.PositiveIntegerField(help_text="in the file; 1 is the first")
    suite = models.TextField(blank=True)
    classname = models.TextField(blank=True)
    name = models.TextField()
    outcome = models.CharField(max_length=7, choices=Outcome.choices)
    seconds = models.FloatField(null=True, blank=True, help_text="empty: not reported")
    flaky = models.BooleanField(default=False, help_text="passed after a failed run")
    message = models.TextField(blank=True)
    details = models.TextField(blank=True)

    objects: ClassVar[models.Manager[CaseResult]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["report", "position"], name="result_once_per_case"
            )
        ]
        indexes = [models.Index(fields=["report", "outcome"], name="result_outcome")]

    def __str__(self) -> str:
        return f"{self.name}: {self.outcome}"


class RejectedCase(models.Model):
    """A case that could not be imported; the rest of its report went on without it."""

    report = models.ForeignKey(Report, models.CASCADE, related_name="rejected")
    position = models.PositiveIntegerField(help_text="in the file; 1 is the first")
    name = models.TextField(blank=True)
    reason = models.TextField()

    objects: ClassVar[models.Manager[RejectedCase]] = models.Manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["report", "position"], name="rejected_once_per_case"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name or 'case without a name'}: {self.reason}"
