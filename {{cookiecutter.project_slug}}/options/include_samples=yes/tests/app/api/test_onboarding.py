"""Onboarding over HTTP."""

import pytest
from django.test import Client

from app.workflows.user_onboarding.setup_defaults import setup_defaults
from tests.factories.onboarding import UserFactory
from tests.helpers.tester import TaskTester

pytestmark = pytest.mark.django_db


def test_user_is_set_up(api: Client, tasks: TaskTester) -> None:
    user = UserFactory.create()

    response = api.post(f"/api/users/{user.pk}/onboarding")

    assert response.status_code == 202
    tasks.assert_enqueued(setup_defaults, user.pk)


def test_unknown_user_is_not_found(api: Client) -> None:
    assert api.post("/api/users/404/onboarding").status_code == 404


def test_request_without_the_token_is_refused(client: Client) -> None:
    assert client.post("/api/users/1/onboarding").status_code == 401
