"""Onboarding over HTTP."""

import pytest
from django.test import Client

from app.models import UserPreferences
from tests.factories.onboarding import UserFactory

pytestmark = pytest.mark.django_db


@pytest.mark.usefixtures("tasks_run_at_once")
def test_user_is_set_up(api: Client) -> None:
    user = UserFactory.create()

    response = api.post(f"/api/users/{user.pk}/onboarding")

    assert response.status_code == 202
    assert UserPreferences.objects.filter(user=user).exists()


def test_unknown_user_is_not_found(api: Client) -> None:
    assert api.post("/api/users/404/onboarding").status_code == 404


def test_request_without_the_token_is_refused(client: Client) -> None:
    assert client.post("/api/users/1/onboarding").status_code == 401
