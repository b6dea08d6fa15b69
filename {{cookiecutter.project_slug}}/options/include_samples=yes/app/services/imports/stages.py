"""The stages that a report passes: extract, then validate, transform and load per chunk.

    file ─extract─> extracted ─validate─> validated ─transform─> transformed ─load─> loaded

Every stage may run twice, even at the same time: it starts from the state that the stage
before left, writes its outcome and the new state in one transaction, and only if the state
is still the same. Whoever comes second changes nothing.
"""

from itertools import batched
from typing import Any, TypedDict

from django.db import transaction
from django.utils import timezone

from app.models import CaseResult, RejectedCase, Report, ReportChunk
from app.services.imports import junit, seconds
from app.services.imports.junit import RawCase

State = ReportChunk.State


class StagedCase(TypedDict):
    """A case as the table of results takes it: the fields of `CaseResult`."""

    position: int
    suite: str
    classname: str
    name: str
    outcome: junit.Outcome
    seconds: float | None
    flaky: bool
    message: str
    details: str


def extract(report_id: int) -> int:
    """Read the file into chunks of cases.

    A repetition cuts the same chunks again and leaves those that exist as they are.

    Args:
        report_id: primary key of the report.

    Returns:
        The number of chunks.

    Raises:
        InvalidReport: if the file cannot be read to its end.
    """
    report = Report.objects.get(pk=report_id)
    reports = Report.objects.filter(pk=report_id)
    if report.total_chunks is not None:
        return report.total_chunks
    number = 0
    with report.upload.open("rb") as file:
        cases = junit.read_cases(file)
        for number, chunk in enumerate(batched(cases, report.chunk_size), start=1):
            ReportChunk.objects.bulk_create(
                [ReportChunk(report=report, number=number, cases=list(chunk))],
                ignore_conflicts=True,
            )
            reports.update(bytes_read=file.tell(), updated_at=timezone.now())
    reports.update(
        bytes_read=report.size, total_chunks=number, updated_at=timezone.now()
    )
    return number


def validate(report_id: int, number: int) -> int:
    """Put aside the cases of a chunk that cannot be imported; the others go on.

    Args:
        report_id: primary key of the report.
        number: of the chunk.

    Returns:
        How many cases were rejected.
    """
    chunk = _chunk(report_id, number)
    if chunk.state != State.EXTRACTED:
        return 0
    good: list[RawCase] = []
    rejected: list[RejectedCase] = []
    for case in chunk.cases:
        if reason := _problem(case):
            rejected.append(
                RejectedCase(
                    report_id=report_id,
                    position=case["position"],
                    name=case["name"],
                    reason=reason,
                )
            )
        else:
            good.append(case)
    with transaction.atomic():
        if not _advance(chunk, State.VALIDATED, good):
            return 0
        RejectedCase.objects.bulk_create(rejected, ignore_conflicts=True)
    return len(rejected)


def transform(report_id: int, number: int) -> None:
    """Bring the cases of a chunk into the one form of the table of results.

    Args:
        report_id: primary key of the report.
        number: of the chunk.
    """
    chunk = _chunk(report_id, number)
    if chunk.state == State.VALIDATED:
        _advance(chunk, State.TRANSFORMED, [_normalise(case) for case in chunk.cases])


def load(report_id: int, number: int) -> int:
    """Write the cases of a chunk into the table of results, each once.

    Args:
        report_id: primary key of the report.
        number: of the chunk.

    Returns:
        How many cases this call brought in.
    """
    chunk = _chunk(report_id, number)
    if chunk.state != State.TRANSFORMED:
        return 0
    results = [CaseResult(report_id=report_id, **case) for case in chunk.cases]
    with transaction.atomic():
        if not _advance(chunk, State.LOADED, []):
            return 0
        CaseResult.objects.bulk_create(results, ignore_conflicts=True)
    return len(results)


def chunks_to_load(report_id: int) -> list[int]:
    """Return the numbers of the chunks that are not loaded yet, in order."""
    chunks = ReportChunk.objects.filter(report_id=report_id).not_loaded()
    return list(chunks.order_by("number").values_list("number", flat=True))


def _chunk(report_id: int, number: int) -> ReportChunk:
    return ReportChunk.objects.get(report_id=report_id, number=number)


def _advance(chunk: ReportChunk, state: State, cases: list[Any]) -> bool:
    """Move a chunk on, unless another worker has done so since it was read."""
    return bool(
        ReportChunk.objects.filter(pk=chunk.pk, state=chunk.state).update(
            state=state, cases=cases, updated_at=timezone.now()
        )
    )


def _problem(case: RawCase) -> str | None:
    """Return why a case cannot be imported, or nothing."""
    if not case["name"].strip():
        return "it has no name"
    try:
        seconds.parse(case["time"])
    except seconds.InvalidTime as error:
        return str(error)
    return None


def _normalise(case: RawCase) -> StagedCase:
    details = case["details"]
    return StagedCase(
        position=case["position"],
        suite=_one_line(case["suite"]),
        classname=_one_line(case["classname"]) or _one_line(case["suite"]),
        name=_one_line(case["name"]),
        outcome=case["outcome"],
        seconds=seconds.parse(case["time"]),
        flaky=case["flaky"],
        # Jest and others put the message into the text alone.
        message=case["message"].strip() or details.partition("\n")[0].strip(),
        details=details,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
