"""The task of the last stage."""

import pytest

from app.models import CaseResult, ReportChunk
from app.services import imports
from app.workflows.data_pipeline.load import load_chunk
from tests.factories.imports import ReportChunkFactory
from tests.harness.retries import delays, locked, locked_once

pytestmark = pytest.mark.django_db

State = ReportChunk.State


def staged(count: int) -> list[dict[str, object]]:
    """Return cases as the stage before leaves them."""
    return [
        {"position": position, "name": f"test_{position}", "outcome": "passed"}
        for position in range(1, count + 1)
    ]


def test_execution_moves_the_chunk_on() -> None:
    chunk = ReportChunkFactory.create(state=State.TRANSFORMED, cases=staged(1))

    load_chunk.apply(args=(chunk.report_id, chunk.number)).get()

    chunk.refresh_from_db()
    assert chunk.state == State.LOADED


def test_cases_become_results() -> None:
    chunk = ReportChunkFactory.create(state=State.TRANSFORMED, cases=staged(2))

    assert load_chunk.apply(args=(chunk.report_id, chunk.number)).get() == 2

    assert CaseResult.objects.filter(report=chunk.report_id).count() == 2


def test_idempotency_a_message_delivered_twice_has_one_effect() -> None:
    chunk = ReportChunkFactory.create(state=State.TRANSFORMED, cases=staged(1))
    load_chunk.apply(args=(chunk.report_id, chunk.number)).get()
    chunk.refresh_from_db()
    first = chunk.updated_at

    load_chunk.apply(args=(chunk.report_id, chunk.number)).get()

    chunk.refresh_from_db()
    assert (chunk.state, chunk.updated_at) == (State.LOADED, first)


def test_retry_follows_when_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chunk = ReportChunkFactory.create(state=State.TRANSFORMED, cases=staged(1))
    monkeypatch.setattr(imports, "load", locked_once(imports.load))

    load_chunk.apply(args=(chunk.report_id, chunk.number)).get()

    chunk.refresh_from_db()
    assert chunk.state == State.LOADED


def test_retry_waits_longer_after_every_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "load", locked)

    assert delays(load_chunk, 1, 1, monkeypatch=monkeypatch) == [1, 2, 4, 8]
