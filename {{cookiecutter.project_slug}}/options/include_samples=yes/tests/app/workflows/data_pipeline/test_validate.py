"""The task of the second stage."""

import pytest

from app.models import ReportChunk
from app.services import imports
from app.workflows.data_pipeline.validate import validate_chunk
from tests.factories.imports import ReportChunkFactory, raw_case
from tests.harness.retries import delays, locked, locked_once

pytestmark = pytest.mark.django_db

State = ReportChunk.State


def test_execution_moves_the_chunk_on() -> None:
    chunk = ReportChunkFactory.create()

    validate_chunk.apply(args=(chunk.report_id, chunk.number)).get()

    chunk.refresh_from_db()
    assert chunk.state == State.VALIDATED


def test_bad_case_is_put_aside_and_the_others_go_on() -> None:
    cases = [raw_case(1), raw_case(2, name=""), raw_case(3)]
    chunk = ReportChunkFactory.create(cases=cases)

    assert validate_chunk.apply(args=(chunk.report_id, chunk.number)).get() == 1

    chunk.refresh_from_db()
    assert [case["position"] for case in chunk.cases] == [1, 3]


def test_idempotency_a_message_delivered_twice_has_one_effect() -> None:
    chunk = ReportChunkFactory.create()
    validate_chunk.apply(args=(chunk.report_id, chunk.number)).get()
    chunk.refresh_from_db()
    first = chunk.updated_at

    validate_chunk.apply(args=(chunk.report_id, chunk.number)).get()

    chunk.refresh_from_db()
    assert (chunk.state, chunk.updated_at) == (State.VALIDATED, first)


def test_retry_follows_when_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chunk = ReportChunkFactory.create()
    monkeypatch.setattr(imports, "validate", locked_once(imports.validate))

    validate_chunk.apply(args=(chunk.report_id, chunk.number)).get()

    chunk.refresh_from_db()
    assert chunk.state == State.VALIDATED


def test_retry_waits_longer_after_every_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "validate", locked)

    assert delays(validate_chunk, 1, 1, monkeypatch=monkeypatch) == [1, 2, 4, 8]
