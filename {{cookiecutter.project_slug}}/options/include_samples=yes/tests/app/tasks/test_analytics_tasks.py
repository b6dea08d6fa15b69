"""The tasks of the analytics domain."""

import pytest
from django.db import OperationalError
from pytest import MonkeyPatch

from app.services import analytics
from app.tasks.analytics_tasks import compute_overview
from tests.harness.retries import locked, locked_once
from tests.helpers.tester import TaskTester


@pytest.mark.task("app.tasks.analytics_tasks.compute_overview", "execution")
def test_execution_keeps_the_overview(tasks: TaskTester) -> None:
    run = tasks.run(compute_overview, 30)

    overview = analytics.cached(30)
    assert overview is not None
    assert overview["computed_at"] == run.result


@pytest.mark.task("app.tasks.analytics_tasks.compute_overview", "idempotency")
def test_idempotency_a_run_executed_twice_computes_once(tasks: TaskTester) -> None:
    def computed_at() -> str | None:
        overview = analytics.cached(30)
        return overview and overview["computed_at"]

    assert tasks.twice(compute_overview, 30, effects=computed_at)


@pytest.mark.task("app.tasks.analytics_tasks.compute_overview", "retry")
def test_retry_computes_when_the_database_is_well_again(
    tasks: TaskTester, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics, "_per_day", locked_once(analytics._per_day))

    run = tasks.run(compute_overview, 30)

    assert run.result
    assert run.retry_delays == [1]


@pytest.mark.task("app.tasks.analytics_tasks.compute_overview", "failure", "retry")
def test_failure_keeps_no_overview(tasks: TaskTester, monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(analytics, "_per_day", locked)

    run = tasks.run(compute_overview, 30)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]
    assert analytics.cached(30) is None
