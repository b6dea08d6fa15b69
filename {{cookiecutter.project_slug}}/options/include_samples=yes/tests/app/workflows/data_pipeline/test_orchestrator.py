"""The order of an import, its failures, and what a repetition does."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from celery import signals
from celery.exceptions import ChordError
from django.db import OperationalError

from app.models import CaseResult, Report
from app.services import imports
from app.workflows.data_pipeline import orchestrator
from app.workflows.data_pipeline.orchestrator import import_report
from tests import reports
from tests.factories.imports import ReportFactory
from tests.harness.inline import InlineWorker

pytestmark = pytest.mark.django_db(transaction=True)

State = Report.State

RunImport = Callable[[Report], int]


@pytest.fixture
def run_import(inline_worker: InlineWorker) -> RunImport:
    """Import a report with all that follows from it, and return how many cases came in."""

    def run(report: Report) -> int:
        result = import_report.delay(report.pk)
        inline_worker.drain()
        return result.get(timeout=1)

    return run


@pytest.fixture
def started() -> Iterator[list[str]]:
    """The names of the tasks that have been started, in order."""
    names: list[str] = []

    def note(task: object, **kwargs: object) -> None:
        names.append(getattr(task, "name", "").rpartition(".")[2])

    signals.task_prerun.connect(note)
    yield names
    signals.task_prerun.disconnect(note)


def stored(*cases: str, chunk_size: int = 2) -> Report:
    return ReportFactory.create(
        content=reports.report(*cases).getvalue(), chunk_size=chunk_size
    )


def spoil(report: Report, number: int) -> None:
    """Extract a report and make one of its chunks such that no stage can read it."""
    imports.extract(report.pk)
    report.chunks.filter(number=number).update(cases=["spoilt"])


def test_report_goes_through_all_stages_and_ends_with_its_summary(
    run_import: RunImport,
) -> None:
    report = stored(*reports.passing(5))

    cases = run_import(report)

    report.refresh_from_db()
    assert cases == CaseResult.objects.filter(report=report).count() == 5
    assert report.state == State.DONE
    assert report.summary is not None
    assert report.summary["passed"] == 5


def test_stages_run_in_order_and_the_summary_last(
    started: list[str], run_import: RunImport
) -> None:
    run_import(stored(*reports.passing(5)))

    assert started[:3] == ["import_report", "extract_cases", "process_chunks"]
    assert Counter(started[3:-1]) == {
        "validate_chunk": 3,
        "transform_chunk": 3,
        "load_chunk": 3,
    }
    assert started[-1] == "summarise_report"


def test_three_bad_cases_of_fifty_do_not_lose_the_other_forty_seven(
    run_import: RunImport,
) -> None:
    cases = reports.passing(50)
    cases[9] = reports.case(name="")
    cases[24] = reports.case(name="test_odd", time="soon")
    cases[49] = reports.case(name="test_early", time="-3")
    report = stored(*cases, chunk_size=10)

    run_import(report)

    report.refresh_from_db()
    assert (report.state, report.results.count()) == (State.DONE, 47)
    assert report.summary is not None
    assert [
        (case["position"], case["name"]) for case in report.summary["rejected_cases"]
    ] == [(10, ""), (25, "test_odd"), (50, "test_early")]


def test_report_without_cases_is_done_at_once(
    started: list[str], run_import: RunImport
) -> None:
    report = stored()

    assert run_import(report) == 0

    report.refresh_from_db()
    assert report.state == State.DONE
    assert "validate_chunk" not in started


def test_file_that_cannot_be_read_fails_and_nothing_follows(
    started: list[str], run_import: RunImport
) -> None:
    whole = reports.report(*reports.passing(5)).getvalue()
    report = ReportFactory.create(content=whole[:-40])

    with pytest.raises(imports.InvalidReport):
        run_import(report)

    report.refresh_from_db()
    assert report.state == State.FAILED
    assert report.error.startswith("the XML ends too early")
    assert started == ["import_report", "extract_cases", "fail_report"]


def test_failed_chunk_stops_its_later_stages_and_the_summary(
    started: list[str], run_import: RunImport
) -> None:
    report = stored(*reports.passing(6))
    spoil(report, number=2)

    with pytest.raises(ChordError):
        run_import(report)

    assert started.count("fail_report") == 2
    report.refresh_from_db()
    assert report.state == State.FAILED
    assert report.error.startswith("chunk 2: TypeError: ")
    assert (started.count("validate_chunk"), started.count("load_chunk")) == (3, 2)
    assert "summarise_report" not in started


def test_failed_summary_fails_the_report(
    monkeypatch: pytest.MonkeyPatch, run_import: RunImport
) -> None:
    def broken(report_id: int) -> imports.Summary:
        raise ArithmeticError("no sum")

    monkeypatch.setattr(imports, "summarise", broken)
    report = stored(*reports.passing(1))

    with pytest.raises(ArithmeticError):
        run_import(report)

    report.refresh_from_db()
    assert (report.state, report.error) == (State.FAILED, "ArithmeticError: no sum")


def test_failed_report_that_is_started_again_loads_only_what_is_missing(
    started: list[str], run_import: RunImport
) -> None:
    report = stored(*reports.passing(6))
    spoil(report, number=2)
    with pytest.raises(ChordError):
        run_import(report)
    assert started.count("fail_report") == 2
    report.chunks.filter(number=2).update(cases=[])
    imports.restart(report.pk)
    started.clear()

    run_import(report)

    report.refresh_from_db()
    assert (report.state, report.error) == (State.DONE, "")
    assert started.count("load_chunk") == 1


def test_same_report_imported_twice_at_the_same_time_has_one_effect(
    inline_worker: InlineWorker,
) -> None:
    report = stored(*reports.passing(5))

    first, second = (import_report.delay(report.pk) for _ in range(2))
    inline_worker.drain()

    assert first.id == second.id
    report.refresh_from_db()
    assert (report.state, report.results.count()) == (State.DONE, 5)


@pytest.mark.parametrize("state", [State.DONE, State.FAILED])
def test_report_that_has_ended_is_left_alone(
    state: Report.State, started: list[str], run_import: RunImport
) -> None:
    report = ReportFactory.create(state=state)

    assert run_import(report) == 0

    assert started == ["import_report"]


def test_start_sends_the_import(inline_worker: InlineWorker) -> None:
    report = stored(*reports.passing(1))

    orchestrator.start(report.pk)
    inline_worker.drain()

    report.refresh_from_db()
    assert report.state == State.DONE


def test_progress_of_the_chunks_can_be_followed(
    started: list[str], run_import: RunImport
) -> None:
    report = stored(*reports.passing(5))
    fractions: list[float] = []

    def note(**kwargs: object) -> None:
        fractions.append(imports.progress(Report.objects.get()).fraction)

    signals.task_postrun.connect(note)
    run_import(report)
    assert len(fractions) == len(started)
    signals.task_postrun.disconnect(note)

    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 9
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("service", ["begin", "chunks_to_load"])
def test_retry_while_the_database_is_away(
    service: str, monkeypatch: pytest.MonkeyPatch, inline_worker: InlineWorker
) -> None:
    report = stored(*reports.passing(1))
    real = getattr(imports, service)
    failures = [OperationalError("database is locked")]

    def locked(report_id: int) -> object:
        if failures:
            raise failures.pop()
        return real(report_id)

    monkeypatch.setattr("random.randrange", lambda limit: 0)
    monkeypatch.setattr(imports, service, locked)

    orchestrator.start(report.pk)
    inline_worker.drain()

    report.refresh_from_db()
    assert report.state == State.DONE
    assert failures == []
