"""The task of the second stage."""

import pytest
from django.db import OperationalError

from app.models import ReportChunk
from app.services import imports
from app.workflows.data_pipeline.validate import validate_chunk
from tests.factories.imports import ReportChunkFactory, raw_case
from tests.harness.retries import locked, locked_once
from tests.helpers.tester import TaskTester

State = ReportChunk.State


@pytest.mark.task("app.workflows.data_pipeline.validate.validate_chunk", "execution")
def test_execution_moves_the_chunk_on(tasks: TaskTester) -> None:
    chunk = ReportChunkFactory.create()

    assert tasks.run(validate_chunk, chunk.report_id, chunk.number).error is None

    chunk.refresh_from_db()
    assert chunk.state == State.VALIDATED


@pytest.mark.task("app.workflows.data_pipeline.validate.validate_chunk", "execution")
def test_bad_case_is_put_aside_and_the_others_go_on(tasks: TaskTester) -> None:
    cases = [raw_case(1), raw_case(2, name=""), raw_case(3)]
    chunk = ReportChunkFactory.create(cases=cases)

    assert tasks.run(validate_chunk, chunk.report_id, chunk.number).result == 1

    chunk.refresh_from_db()
    assert [case["position"] for case in chunk.cases] == [1, 3]


@pytest.mark.task("app.workflows.data_pipeline.validate.validate_chunk", "idempotency")
def test_idempotency_a_run_executed_twice_has_one_effect(tasks: TaskTester) -> None:
    chunk = ReportChunkFactory.create()

    def moved() -> tuple[object, ...]:
        chunk.refresh_from_db()
        return chunk.state, chunk.updated_at

    args = (chunk.report_id, chunk.number)
    state, _ = tasks.twice(validate_chunk, *args, effects=moved)

    assert state == State.VALIDATED


@pytest.mark.task("app.workflows.data_pipeline.validate.validate_chunk", "retry")
def test_retry_follows_when_the_database_is_back(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = ReportChunkFactory.create()
    monkeypatch.setattr(imports, "validate", locked_once(imports.validate))

    run = tasks.run(validate_chunk, chunk.report_id, chunk.number)

    chunk.refresh_from_db()
    assert (chunk.state, run.retry_delays) == (State.VALIDATED, [1])


@pytest.mark.task(
    "app.workflows.data_pipeline.validate.validate_chunk", "failure", "retry"
)
def test_failure_when_the_database_stays_away(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "validate", locked)

    run = tasks.run(validate_chunk, 1, 1)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]
