"""The tasks of the analytics domain, run in this process."""

import pytest
from django.db import OperationalError
from django.db.models import QuerySet
from pytest import MonkeyPatch

from app.models import CaseResult
from app.services import analytics
from app.tasks.analytics_tasks import compute_overview
from tests.harness.retries import delays

pytestmark = pytest.mark.django_db


def fail_with(error: Exception, monkeypatch: MonkeyPatch, times: int = 1_000) -> None:
    """Let the database fail so often before it works."""
    failures = iter([error] * times)
    per_day = analytics._per_day

    def failing(cases: QuerySet[CaseResult]) -> list[analytics.DayTotals]:
        for failure in failures:
            raise failure
        return per_day(cases)

    monkeypatch.setattr(analytics, "_per_day", failing)


def test_execution_keeps_the_overview() -> None:
    computed_at = compute_overview.apply(args=(30,)).get()

    overview = analytics.cached(30)
    assert overview is not None
    assert overview["computed_at"] == computed_at


def test_idempotency_a_message_delivered_twice_computes_once() -> None:
    first, second = (compute_overview.apply(args=(30,)).get() for _ in range(2))

    assert first == second


def test_retry_computes_when_the_database_is_well_again(
    monkeypatch: MonkeyPatch,
) -> None:
    fail_with(OperationalError("away"), monkeypatch, times=2)

    assert compute_overview.apply(args=(30,)).state == "SUCCESS"


def test_retry_waits_longer_after_every_attempt(monkeypatch: MonkeyPatch) -> None:
    fail_with(OperationalError("away"), monkeypatch)

    waited = delays(compute_overview, 30, monkeypatch=monkeypatch)

    assert waited == [1, 2, 4, 8]
