"""Where an import stands: begun, failed, started again, how far.

pending ──> running ──> done
   ^           │
   └── failed <┘
"""

from dataclasses import dataclass

from django.db.models import Count
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from app.models import Report, ReportChunk

State = Report.State

MAX_ERROR_CHARACTERS = 2_000

# How much of the way is behind a report once its file has been read; about what a large
# one takes.
READING_SHARE = 0.1
# The stages that a chunk has behind it, by its state.
_STAGES_DONE = {str(state): done for done, state in enumerate(ReportChunk.State)}


@dataclass(frozen=True)
class Progress:
    """How far an import is.

    Attributes:
        chunks_done: chunks that are loaded.
        chunks_total: chunks in all; `None` until the whole file has been read.
        fraction: of the whole way, 0 to 1.
    """

    chunks_done: int
    chunks_total: int | None
    fraction: float


def begin(report_id: int) -> bool:
    """Note that an import runs; repeating it keeps the first start.

    Returns:
        Whether there is anything to do: not for a report that is done or has failed.
    """
    return bool(
        Report.objects.filter(pk=report_id)
        .unfinished()
        .update(
            state=State.RUNNING,
            started_at=Coalesce("started_at", Now()),
            updated_at=timezone.now(),
        )
    )


def fail(report_id: int, reason: str, chunk: int | None = None) -> None:
    """End an import without a summary; what is loaded stays, for the next try.

    A reason that names a chunk wins over one that does not: when a chunk fails, the step
    that waited for all chunks reports a failure too, and knows less.

    Args:
        report_id: primary key of the report; one that is done is left as it is.
        reason: for the person who sent the report.
        chunk: number of the chunk that failed, if it was one.
    """
    reports = Report.objects.filter(pk=report_id)
    if chunk is None:
        reports = reports.unfinished()
    else:
        reports = reports.not_done()
        reason = f"chunk {chunk}: {reason}"
    now = timezone.now()
    reports.update(
        state=State.FAILED,
        error=reason[:MAX_ERROR_CHARACTERS],
        finished_at=now,
        updated_at=now,
    )


def restart(report_id: int) -> None:
    """Make a failed report pending again; chunks that are loaded stay loaded."""
    Report.objects.filter(pk=report_id, state=State.FAILED).update(
        state=State.PENDING,
        error="",
        started_at=None,
        finished_at=None,
        updated_at=timezone.now(),
    )


def progress(report: Report) -> Progress:
    """Return how far an import is, as the database knows it."""
    chunks = report.chunks.values("state").annotate(count=Count("pk"))
    counts: dict[str, int] = {row["state"]: row["count"] for row in chunks}
    done = counts.get(ReportChunk.State.LOADED, 0)
    if report.state == State.DONE:
        return Progress(done, report.total_chunks, 1.0)
    read = report.bytes_read / report.size if report.size else 1.0
    fraction = READING_SHARE * min(read, 1.0)
    if report.total_chunks:
        stages = max(_STAGES_DONE.values()) * report.total_chunks
        stages_done = sum(_STAGES_DONE[state] * counts[state] for state in counts)
        fraction += (1 - READING_SHARE) * stages_done / stages
    return Progress(done, report.total_chunks, fraction)


def discard(report_id: int) -> None:
    """Delete a report with everything that was imported from it, and its file."""
    report = Report.objects.get(pk=report_id)
    path = report.upload.name
    report.delete()
    if path:
        report.upload.storage.delete(path)
