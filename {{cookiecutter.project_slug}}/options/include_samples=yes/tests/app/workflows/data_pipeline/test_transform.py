"""The task of the third stage."""

import pytest

from app.models import ReportChunk
from app.services import imports
from app.workflows.data_pipeline.transform import transform_chunk
from tests.factories.imports import ReportChunkFactory
from tests.harness.retries import delays, locked, locked_once

pytestmark = pytest.mark.django_db

State = ReportChunk.State


def test_execution_moves_the_chunk_on() -> None:
    chunk = ReportChunkFactory.create(state=State.VALIDATED)

    transform_chunk.apply(args=(chunk.report_id, chunk.number)).get()

    chunk.refresh_from_db()
    assert chunk.state == State.TRANSFORMED


def test_idempotency_a_message_delivered_twice_has_one_effect() -> None:
    chunk = ReportChunkFactory.create(state=State.VALIDATED)
    transform_chunk.apply(args=(chunk.report_id, chunk.number)).get()
    chunk.refresh_from_db()
    first = chunk.updated_at

    transform_chunk.apply(args=(chunk.report_id, chunk.number)).get()

    chunk.refresh_from_db()
    assert (chunk.state, chunk.updated_at) == (State.TRANSFORMED, first)


def test_retry_follows_when_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chunk = ReportChunkFactory.create(state=State.VALIDATED)
    monkeypatch.setattr(imports, "transform", locked_once(imports.transform))

    transform_chunk.apply(args=(chunk.report_id, chunk.number)).get()

    chunk.refresh_from_db()
    assert chunk.state == State.TRANSFORMED


def test_retry_waits_longer_after_every_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "transform", locked)

    assert delays(transform_chunk, 1, 1, monkeypatch=monkeypatch) == [1, 2, 4, 8]
