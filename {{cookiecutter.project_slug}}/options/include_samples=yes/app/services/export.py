"""Export of a report's cases as CSV, streamed from the database to the storage."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils import timezone

from app.models import CaseResult, Export, Report
from app.services.csv_stream import CsvStream
from app.services.errors import PermanentError, TransientError
from app.services.progress import Progress, ignore

State = Export.State

COLUMNS = ("position", "suite", "classname", "name", "outcome", "seconds", "message")

# Rows that are read from the database at once, and between two reports of progress.
ROWS_PER_READ = 200

MAX_ERROR_CHARACTERS = 500


class InvalidExport(PermanentError):
    """There is nothing that could be exported."""


class StorageUnavailable(TransientError):
    """The storage did not take the file."""


def request(report_id: int, outcome: str = "") -> Export:
    """Ask for an export; the same selection is the same export.

    Args:
        report_id: primary key of a report that is done.
        outcome: only cases with this outcome; blank for all.

    Returns:
        The export: done if it already is, else pending or running.

    Raises:
        InvalidExport: naming the wrong field and what is accepted.
    """
    if outcome and outcome not in CaseResult.Outcome.values:
        accepted = ", ".join(CaseResult.Outcome.values)
        raise InvalidExport(f"outcome {outcome!r}: expected one of {accepted}")
    if not Report.objects.filter(pk=report_id, state=Report.State.DONE).exists():
        raise InvalidExport(f"report {report_id}: expected one that is imported")
    with transaction.atomic():
        export, _ = Export.objects.get_or_create(report_id=report_id, outcome=outcome)
        Export.objects.filter(pk=export.pk, state=State.FAILED).update(
            state=State.PENDING, error="", finished_at=None
        )
    export.refresh_from_db()
    return export


def run(export_id: int, *, on_progress: Progress = ignore) -> Export:
    """Write the file of an export; one that has ended is left as it is.

    An attempt that is interrupted removes its file. One that died is recognised by the
    file's name in the row, and its file is removed by the next attempt.

    Args:
        export_id: primary key of the export.
        on_progress: called every `ROWS_PER_READ` rows with those written and all.

    Returns:
        The export.

    Raises:
        StorageUnavailable: worth another attempt; also if another one runs as well and
            took this one for dead.
    """
    export = Export.objects.get(pk=export_id)
    if export.state not in (State.PENDING, State.RUNNING):
        return export
    if export.file.name:
        default_storage.delete(export.file.name)
    name = f"exports/report-{export.report_id}-{uuid4().hex}.csv"
    export.file.name, export.state = name, State.RUNNING
    export.save(update_fields=["file", "state"])
    rows = _Rows(export, on_progress)
    with _removed_if_interrupted(name):
        default_storage.save(name, File(io.BufferedReader(CsvStream(rows))))
    # Two attempts can run at once; the one whose name stands in the row wins.
    finished = Export.objects.filter(pk=export.pk, file=name, state=State.RUNNING)
    if not finished.update(
        state=State.DONE, rows=rows.written, finished_at=timezone.now()
    ):
        default_storage.delete(name)
    export.refresh_from_db()
    return export


def give_up(export_id: int, reason: str) -> None:
    """Mark an export as failed after its last attempt; it keeps the reason."""
    Export.objects.filter(
        pk=export_id, state__in=[State.PENDING, State.RUNNING]
    ).update(
        state=State.FAILED,
        error=reason[:MAX_ERROR_CHARACTERS],
        finished_at=timezone.now(),
    )


@contextmanager
def _removed_if_interrupted(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        default_storage.delete(name)
        raise StorageUnavailable(f"{type(error).__name__}: {error}") from error
    except BaseException:  # such as the soft time limit
        default_storage.delete(name)
        raise


class _Rows:
    """The header and the cases, one at a time; counts the cases that it gave out."""

    def __init__(self, export: Export, on_progress: Progress) -> None:
        self.written = 0
        self._on_progress = on_progress
        self._cases = export.report.results.order_by("position")
        if export.outcome:
            self._cases = self._cases.filter(outcome=export.outcome)

    def __iter__(self) -> Iterator[Sequence[object]]:
        yield COLUMNS
        total = self._cases.count()
        for row in self._cases.values_list(*COLUMNS).iterator(ROWS_PER_READ):
            yield row
            self.written += 1
            if self.written % ROWS_PER_READ == 0 or self.written == total:
                self._on_progress(self.written, total)
