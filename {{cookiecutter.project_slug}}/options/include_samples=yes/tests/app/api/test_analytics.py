"""Figures over HTTP."""

import pytest
from django.test import Client
from kombu.exceptions import OperationalError

from app.services import analytics
from app.tasks.analytics_tasks import compute_overview

pytestmark = pytest.mark.django_db


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The windows whose computation is enqueued."""
    windows: list[int] = []

    def enqueue(arguments: tuple[int], **options: object) -> None:
        windows.extend(arguments)

    monkeypatch.setattr(compute_overview, "apply_async", enqueue)
    return windows


def test_first_request_starts_the_computation_and_later_ones_wait_for_it(
    api: Client, enqueued: list[int]
) -> None:
    answers = [api.get("/api/analytics?days=7") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202] * 3
    assert enqueued == [7]


def test_result_is_shown_once_it_is_computed(api: Client, enqueued: list[int]) -> None:
    analytics.compute(30)

    response = api.get("/api/analytics")

    assert response.status_code == 200
    assert response.json() == analytics.cached(30)
    assert enqueued == []


def test_broker_that_is_down_does_not_keep_the_next_request_from_trying(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OperationalError

    monkeypatch.setattr(compute_overview, "apply_async", refuse)

    assert api.get("/api/analytics").status_code == 503
    assert analytics.reserve(30)


@pytest.mark.parametrize("days", ["0", "366", "-1", "week", "²", ""])
def test_window_out_of_range_is_refused(api: Client, days: str) -> None:
    response = api.get("/api/analytics", {"days": days})

    assert response.status_code == 400
    assert response.json() == {"error": "days: expected 1 to 365"}


def test_request_without_the_token_is_refused(client: Client) -> None:
    assert client.get("/api/analytics").status_code == 401
