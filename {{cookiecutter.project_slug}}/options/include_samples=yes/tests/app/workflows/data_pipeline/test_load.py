"""The task of the last stage."""

import pytest
from django.db import OperationalError

from app.models import CaseResult, ReportChunk
from app.services import imports
from app.workflows.data_pipeline.load import load_chunk
from tests.factories.imports import ReportChunkFactory
from tests.harness.retries import locked, locked_once
from tests.helpers.tester import TaskTester

State = ReportChunk.State


def staged(count: int) -> list[dict[str, object]]:
    """Return cases as the stage before leaves them."""
    return [
        {"position": position, "name": f"test_{position}", "outcome": "passed"}
        for position in range(1, count + 1)
    ]


@pytest.mark.task("app.workflows.data_pipeline.load.load_chunk", "execution")
def test_execution_moves_the_chunk_on(tasks: TaskTester) -> None:
    chunk = ReportChunkFactory.create(state=State.TRANSFORMED, cases=staged(1))

    assert tasks.run(load_chunk, chunk.report_id, chunk.number).error is None

    chunk.refresh_from_db()
    assert chunk.state == State.LOADED


@pytest.mark.task("app.workflows.data_pipeline.load.load_chunk", "execution")
def test_cases_become_results(tasks: TaskTester) -> None:
    chunk = ReportChunkFactory.create(state=State.TRANSFORMED, cases=staged(2))

    assert tasks.run(load_chunk, chunk.report_id, chunk.number).result == 2

    assert CaseResult.objects.filter(report=chunk.report_id).count() == 2


@pytest.mark.task("app.workflows.data_pipeline.load.load_chunk", "idempotency")
def test_idempotency_a_run_executed_twice_has_one_effect(tasks: TaskTester) -> None:
    chunk = ReportChunkFactory.create(state=State.TRANSFORMED, cases=staged(1))

    def moved() -> tuple[object, ...]:
        chunk.refresh_from_db()
        return chunk.state, chunk.updated_at

    args = (chunk.report_id, chunk.number)
    state, _ = tasks.twice(load_chunk, *args, effects=moved)

    assert state == State.LOADED


@pytest.mark.task("app.workflows.data_pipeline.load.load_chunk", "retry")
def test_retry_follows_when_the_database_is_back(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunk = ReportChunkFactory.create(state=State.TRANSFORMED, cases=staged(1))
    monkeypatch.setattr(imports, "load", locked_once(imports.load))

    run = tasks.run(load_chunk, chunk.report_id, chunk.number)

    chunk.refresh_from_db()
    assert (chunk.state, run.retry_delays) == (State.LOADED, [1])


@pytest.mark.task("app.workflows.data_pipeline.load.load_chunk", "failure", "retry")
def test_failure_when_the_database_stays_away(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "load", locked)

    run = tasks.run(load_chunk, 1, 1)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]
