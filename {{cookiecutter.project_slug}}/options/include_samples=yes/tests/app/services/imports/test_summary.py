"""The summary of an import."""

import pytest

from app.models import CaseResult, RejectedCase, Report, ReportChunk
from app.services import imports
from app.services.imports import summary
from tests.factories.imports import (
    CaseResultFactory,
    ReportChunkFactory,
    ReportFactory,
)

pytestmark = pytest.mark.django_db

Outcome = CaseResult.Outcome


def loaded_report() -> Report:
    report = ReportFactory.create(state=Report.State.RUNNING, total_chunks=1)
    ReportChunkFactory.create(report=report, state=ReportChunk.State.LOADED)
    return report


def test_summary_counts_outcomes_and_adds_up_seconds() -> None:
    report = loaded_report()
    CaseResultFactory.create_batch(3, report=report, seconds=0.5)
    CaseResultFactory.create(report=report, outcome=Outcome.FAILED, seconds=None)
    CaseResultFactory.create(report=report, outcome=Outcome.SKIPPED, seconds=0.0)
    CaseResultFactory.create(report=report, flaky=True, seconds=1.0)
    CaseResultFactory.create()  # of another report

    result = imports.summarise(report.pk)

    counts = {name: result[name] for name in ("cases", "passed", "failed", "errored")}
    assert counts == {"cases": 6, "passed": 4, "failed": 1, "errored": 0}
    assert (result["skipped"], result["flaky"]) == (1, 1)
    assert result["seconds"] == 2.5


def test_summary_has_the_ten_slowest_cases_slowest_first() -> None:
    report = loaded_report()
    for seconds in (*range(12), None):
        CaseResultFactory.create(report=report, seconds=seconds)

    result = imports.summarise(report.pk)

    assert [case["seconds"] for case in result["slowest"]] == list(range(11, 1, -1))


def test_summary_has_failures_and_errors_with_their_messages_in_order() -> None:
    report = loaded_report()
    CaseResultFactory.create(report=report)
    CaseResultFactory.create(
        report=report, name="test_b", outcome=Outcome.ERRORED, message="refused"
    )
    CaseResultFactory.create(
        report=report, name="test_a", outcome=Outcome.FAILED, message="1 == 2"
    )

    result = imports.summarise(report.pk)

    assert [
        (case["name"], case["outcome"], case["message"]) for case in result["failures"]
    ] == [("test_b", "errored", "refused"), ("test_a", "failed", "1 == 2")]


def test_summary_names_the_rejected_cases() -> None:
    report = loaded_report()
    RejectedCase.objects.create(report=report, position=7, name="x", reason="no time")

    result = imports.summarise(report.pk)

    assert result["rejected"] == 1
    assert result["rejected_cases"] == [
        {"position": 7, "name": "x", "reason": "no time"}
    ]


def test_long_lists_are_cut_but_counted_in_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(summary, "MAX_LISTED", 2)
    report = loaded_report()
    CaseResultFactory.create_batch(3, report=report, outcome=Outcome.FAILED)

    result = imports.summarise(report.pk)

    assert (result["failed"], len(result["failures"])) == (3, 2)


def test_summary_ends_the_import_and_a_second_one_leaves_it_as_it_is() -> None:
    report = loaded_report()
    first = imports.summarise(report.pk)
    report.refresh_from_db()
    finished_at = report.finished_at

    second = imports.summarise(report.pk)

    report.refresh_from_db()
    assert report.state == Report.State.DONE
    assert report.summary == first == second
    assert report.finished_at == finished_at is not None


@pytest.mark.parametrize("total_chunks", [None, 2])
def test_report_with_a_missing_chunk_never_ends_as_done(
    total_chunks: int | None,
) -> None:
    report = loaded_report()
    Report.objects.update(total_chunks=total_chunks)

    with pytest.raises(imports.NotLoaded, match=f"1 of {total_chunks} chunks"):
        imports.summarise(report.pk)

    report.refresh_from_db()
    assert report.state == Report.State.RUNNING
