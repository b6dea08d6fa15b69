"""Figures over HTTP."""

import pytest
from django.core.cache import cache
from django.test import Client
from redis.exceptions import ConnectionError

from app.services import analytics
from app.tasks.analytics_tasks import compute_overview
from ledger.models import TaskRun

pytestmark = pytest.mark.django_db


def test_first_request_starts_the_computation_and_later_ones_wait_for_it(
    api: Client,
) -> None:
    answers = [api.get("/api/analytics?days=7") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202] * 3
    run = TaskRun.objects.get()
    assert (run.name, run.args) == (compute_overview.name, "[7]")


def test_result_is_shown_once_it_is_computed(api: Client) -> None:
    analytics.compute(30)

    response = api.get("/api/analytics")

    assert response.status_code == 200
    assert response.json() == analytics.cached(30)
    assert not TaskRun.objects.exists()


def test_cache_that_is_down_is_answered_503(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise ConnectionError("connection refused")

    monkeypatch.setattr(cache, "get", refuse)

    response = api.get("/api/analytics")

    assert response.status_code == 503
    assert response["Retry-After"] == "30"


@pytest.mark.parametrize("days", ["0", "366", "-1", "week", "²", ""])
def test_window_out_of_range_is_refused(api: Client, days: str) -> None:
    response = api.get("/api/analytics", {"days": days})

    assert response.status_code == 400
    assert response.json() == {"error": "days: expected 1 to 365"}


def test_request_without_the_token_is_refused(client: Client) -> None:
    assert client.get("/api/analytics").status_code == 401
