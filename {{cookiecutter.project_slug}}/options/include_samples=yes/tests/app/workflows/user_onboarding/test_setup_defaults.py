"""The first step of the onboarding."""

import pytest

from app.models import UserPreferences
from app.services import onboarding
from app.workflows.user_onboarding.setup_defaults import setup_defaults
from tests.factories.onboarding import UserFactory

pytestmark = pytest.mark.django_db


def test_idempotency_running_twice_leaves_one_row() -> None:
    user = UserFactory.create()

    first, second = (setup_defaults.apply(args=(user.pk,)).get() for _ in range(2))

    assert first == second == UserPreferences.objects.get(user=user).pk


def test_user_who_does_not_exist_is_not_retried() -> None:
    result = setup_defaults.apply(args=(404,))

    assert isinstance(result.result, onboarding.NotReady)
