"""The task of the third stage."""

import pytest
from django.db import OperationalError

from app.models import ReportChunk
from app.services import imports
from app.workflows.data_pipeline.transform import transform_chunk
from tests.factories.imports import ReportChunkFactory
from tests.harness.retries import locked, locked_once
from tests.helpers.tester import TaskTester

State = ReportChunk.State


@pytest.mark.task("app.workflows.data_pipeline.transform.transform_chunk", "execution")
def test_execution_moves_the_chunk_on(tasks: TaskTester) -> None:
    chunk = ReportChunkFactory.create(state=State.VALIDATED)

    assert tasks.run(transform_chunk, chunk.report_id, chunk.number).error is None

    chunk.refresh_from_db()
    assert chunk.state == State.TRANSFORMED


@pytest.mark.task(
    "app.workflows.data_pipeline.transform.transform_chunk", "idempotency"
)
def test_idempotency_a_run_executed_twice_has_one_effect(tasks: TaskTester) -> None:
    chunk = ReportChunkFactory.create(state=State.VALIDATED)

    def moved() -> tuple[object, ...]:
        chunk.refresh_from_db()
        return chunk.state, chunk.updated_at

    args = (chunk.report_id, chunk.number)
    state, _ = tasks.twice(transform_chunk, *args, effects=moved)

    assert state == State.TRANSFORMED


@pytest.mark.task("app.workflows.data_pipeline.transform.transform_chunk", "retry")
def test_retry_follows_when_the_database_is_back(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = ReportChunkFactory.create(state=State.VALIDATED)
    monkeypatch.setattr(imports, "transform", locked_once(imports.transform))

    run = tasks.run(transform_chunk, chunk.report_id, chunk.number)

    chunk.refresh_from_db()
    assert (chunk.state, run.retry_delays) == (State.TRANSFORMED, [1])


@pytest.mark.task(
    "app.workflows.data_pipeline.transform.transform_chunk", "failure", "retry"
)
def test_failure_when_the_database_stays_away(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "transform", locked)

    run = tasks.run(transform_chunk, 1, 1)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]
