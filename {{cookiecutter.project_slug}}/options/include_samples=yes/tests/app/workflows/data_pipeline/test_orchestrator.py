"""The order of an import, its failures, and what a repetition does."""

from collections import Counter

import pytest
from celery import signals
from celery.exceptions import ChordError
from django.db import OperationalError

from app.models import CaseResult, Report
from app.services import imports
from app.tasks.import_tasks import fail_report, summarise_report
from app.workflows.data_pipeline import orchestrator
from app.workflows.data_pipeline.extract import extract_cases
from app.workflows.data_pipeline.load import load_chunk
from app.workflows.data_pipeline.orchestrator import import_report, process_chunks
from app.workflows.data_pipeline.transform import transform_chunk
from app.workflows.data_pipeline.validate import validate_chunk
from ledger.task import DurableTask
from tests import reports
from tests.factories.imports import ReportFactory
from tests.harness.retries import locked, locked_once
from tests.helpers.tester import TaskTester

State = Report.State


def stored(*cases: str, chunk_size: int = 2) -> Report:
    return ReportFactory.create(
        content=reports.report(*cases).getvalue(), chunk_size=chunk_size
    )


def spoil(report: Report, number: int) -> None:
    """Extract a report and make one of its chunks such that no stage can read it."""
    imports.extract(report.pk)
    report.chunks.filter(number=number).update(cases=["spoilt"])


@pytest.mark.task("app.workflows.data_pipeline.orchestrator.import_report", "execution")
@pytest.mark.task(
    "app.workflows.data_pipeline.orchestrator.process_chunks", "execution"
)
def test_report_goes_through_all_stages_and_ends_with_its_summary(
    tasks: TaskTester,
) -> None:
    report = stored(*reports.passing(5))

    run = tasks.run(import_report, report.pk)

    report.refresh_from_db()
    assert run.result == CaseResult.objects.filter(report=report).count() == 5
    assert report.state == State.DONE
    assert report.summary is not None
    assert report.summary["passed"] == 5


@pytest.mark.task("app.workflows.data_pipeline.orchestrator.import_report", "workflow")
@pytest.mark.task("app.workflows.data_pipeline.extract.extract_cases", "workflow")
@pytest.mark.task("app.workflows.data_pipeline.orchestrator.process_chunks", "workflow")
@pytest.mark.task("app.workflows.data_pipeline.validate.validate_chunk", "workflow")
@pytest.mark.task("app.workflows.data_pipeline.transform.transform_chunk", "workflow")
@pytest.mark.task("app.workflows.data_pipeline.load.load_chunk", "workflow")
@pytest.mark.task("app.tasks.import_tasks.summarise_report", "workflow")
def test_stages_run_in_order_and_the_summary_last(tasks: TaskTester) -> None:
    run = tasks.run(import_report, stored(*reports.passing(5)).pk)

    first_three = [import_report.name, extract_cases.name, process_chunks.name]
    assert run.started[:3] == first_three
    assert Counter(run.started[3:-1]) == {
        validate_chunk.name: 3,
        transform_chunk.name: 3,
        load_chunk.name: 3,
    }
    assert run.started[-1] == summarise_report.name


def test_three_bad_cases_of_fifty_do_not_lose_the_other_forty_seven(
    tasks: TaskTester,
) -> None:
    cases = reports.passing(50)
    cases[9] = reports.case(name="")
    cases[24] = reports.case(name="test_odd", time="soon")
    cases[49] = reports.case(name="test_early", time="-3")
    report = stored(*cases, chunk_size=10)

    tasks.run(import_report, report.pk)

    report.refresh_from_db()
    assert (report.state, report.results.count()) == (State.DONE, 47)
    assert report.summary is not None
    assert [
        (case["position"], case["name"]) for case in report.summary["rejected_cases"]
    ] == [(10, ""), (25, "test_odd"), (50, "test_early")]


def test_report_without_cases_is_done_at_once(tasks: TaskTester) -> None:
    report = stored()

    run = tasks.run(import_report, report.pk)

    report.refresh_from_db()
    assert (run.result, report.state) == (0, State.DONE)
    assert validate_chunk.name not in run.started


@pytest.mark.task("app.workflows.data_pipeline.orchestrator.import_report", "failure")
@pytest.mark.task("app.tasks.import_tasks.fail_report", "workflow")
def test_file_that_cannot_be_read_fails_and_nothing_follows(tasks: TaskTester) -> None:
    whole = reports.report(*reports.passing(5)).getvalue()
    report = ReportFactory.create(content=whole[:-40])

    run = tasks.run(import_report, report.pk)

    assert isinstance(run.error, imports.InvalidReport)
    assert run.started == [import_report.name, extract_cases.name, fail_report.name]
    report.refresh_from_db()
    assert report.state == State.FAILED
    assert report.error.startswith("the XML ends too early")


@pytest.mark.task("app.workflows.data_pipeline.orchestrator.process_chunks", "failure")
@pytest.mark.task("app.tasks.import_tasks.fail_report", "workflow")
def test_failed_chunk_stops_its_later_stages_and_the_summary(tasks: TaskTester) -> None:
    report = stored(*reports.passing(6))
    spoil(report, number=2)

    run = tasks.run(import_report, report.pk)

    assert isinstance(run.error, ChordError)
    started = Counter(run.started)
    assert started[fail_report.name] == 2
    report.refresh_from_db()
    assert report.state == State.FAILED
    assert report.error.startswith("chunk 2: TypeError: ")
    assert (started[validate_chunk.name], started[load_chunk.name]) == (3, 2)
    assert summarise_report.name not in started


@pytest.mark.task("app.tasks.import_tasks.fail_report", "workflow")
def test_failed_summary_fails_the_report(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(report_id: int) -> imports.Summary:
        raise ArithmeticError("no sum")

    monkeypatch.setattr(imports, "summarise", broken)
    report = stored(*reports.passing(1))

    run = tasks.run(import_report, report.pk)

    assert isinstance(run.error, ArithmeticError)
    report.refresh_from_db()
    assert (report.state, report.error) == (State.FAILED, "ArithmeticError: no sum")


def test_failed_report_that_is_started_again_loads_only_what_is_missing(
    tasks: TaskTester,
) -> None:
    report = stored(*reports.passing(6))
    spoil(report, number=2)
    failed = tasks.run(import_report, report.pk)
    assert failed.started.count(fail_report.name) == 2
    report.chunks.filter(number=2).update(cases=[])
    imports.restart(report.pk)

    run = tasks.run(import_report, report.pk)

    report.refresh_from_db()
    assert (report.state, report.error) == (State.DONE, "")
    assert run.started.count(load_chunk.name) == 1


@pytest.mark.task(
    "app.workflows.data_pipeline.orchestrator.import_report", "idempotency"
)
def test_same_report_imported_twice_at_the_same_time_has_one_effect(
    tasks: TaskTester,
) -> None:
    report = stored(*reports.passing(5))

    import_report.delay(report.pk)
    import_report.delay(report.pk)

    tasks.assert_enqueued(import_report, report.pk)
    tasks.drain()
    report.refresh_from_db()
    assert (report.state, report.results.count()) == (State.DONE, 5)


@pytest.mark.task(
    "app.workflows.data_pipeline.orchestrator.import_report", "idempotency"
)
def test_import_executed_twice_brings_every_case_in_once(tasks: TaskTester) -> None:
    report = stored(*reports.passing(5))

    cases = tasks.twice(import_report, report.pk, effects=report.results.count)

    assert cases == 5


@pytest.mark.task(
    "app.workflows.data_pipeline.orchestrator.process_chunks", "idempotency"
)
def test_chunks_sent_twice_bring_every_case_in_once(tasks: TaskTester) -> None:
    report = stored(*reports.passing(5))
    imports.begin(report.pk)
    imports.extract(report.pk)

    cases = tasks.twice(process_chunks, report.pk, effects=report.results.count)

    assert cases == 5


@pytest.mark.parametrize("state", [State.DONE, State.FAILED])
def test_report_that_has_ended_is_left_alone(
    state: Report.State, tasks: TaskTester
) -> None:
    run = tasks.run(import_report, ReportFactory.create(state=state).pk)

    assert (run.result, run.started) == (0, [import_report.name])


def test_start_enqueues_the_import(tasks: TaskTester) -> None:
    report = stored(*reports.passing(1))

    orchestrator.start(report.pk)

    tasks.assert_enqueued(import_report, report.pk)


def test_progress_of_the_chunks_can_be_followed(tasks: TaskTester) -> None:
    report = stored(*reports.passing(5))
    fractions: list[float] = []

    def note(**kwargs: object) -> None:
        fractions.append(imports.progress(Report.objects.get()).fraction)

    signals.task_postrun.connect(note)
    run = tasks.run(import_report, report.pk)
    signals.task_postrun.disconnect(note)

    assert len(fractions) == len(run.started)
    assert fractions == sorted(fractions)
    assert len(set(fractions)) > 9
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)


IMPORT = pytest.mark.task(
    "app.workflows.data_pipeline.orchestrator.import_report", "retry"
)
CHUNKS = pytest.mark.task(
    "app.workflows.data_pipeline.orchestrator.process_chunks", "retry"
)


@pytest.mark.parametrize(
    "service",
    [
        pytest.param("begin", marks=IMPORT),
        pytest.param("chunks_to_load", marks=CHUNKS),
    ],
)
def test_retry_until_the_database_is_back(
    service: str, tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = stored(*reports.passing(1))
    monkeypatch.setattr(imports, service, locked_once(getattr(imports, service)))

    assert tasks.run(import_report, report.pk).result == 1


@pytest.mark.parametrize(
    ("task", "service"),
    [
        pytest.param(import_report, "begin", marks=IMPORT),
        pytest.param(process_chunks, "chunks_to_load", marks=CHUNKS),
    ],
)
def test_step_gives_up_when_the_database_stays_away(
    task: DurableTask[[int], int],
    service: str,
    tasks: TaskTester,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, service, locked)

    run = tasks.run(task, 1)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]
