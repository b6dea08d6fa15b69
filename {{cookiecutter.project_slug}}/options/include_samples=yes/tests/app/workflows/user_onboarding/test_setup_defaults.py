"""The first step of the onboarding."""

import pytest

from app.models import UserPreferences
from app.services import onboarding
from app.workflows.user_onboarding.setup_defaults import setup_defaults
from tests.factories.onboarding import UserFactory
from tests.harness.retries import locked_once
from tests.helpers.tester import TaskTester


@pytest.mark.task(
    "app.workflows.user_onboarding.setup_defaults.setup_defaults", "execution"
)
def test_execution_returns_the_preferences(tasks: TaskTester) -> None:
    user = UserFactory.create()

    preferences = tasks.run(setup_defaults, user.pk).result

    assert UserPreferences.objects.get(user=user).pk == preferences


@pytest.mark.task(
    "app.workflows.user_onboarding.setup_defaults.setup_defaults", "idempotency"
)
def test_idempotency_a_run_executed_twice_leaves_one_row(tasks: TaskTester) -> None:
    user = UserFactory.create()

    rows = tasks.twice(setup_defaults, user.pk, effects=UserPreferences.objects.count)

    assert rows == 1


@pytest.mark.task(
    "app.workflows.user_onboarding.setup_defaults.setup_defaults", "failure"
)
def test_user_who_does_not_exist_is_not_retried(tasks: TaskTester) -> None:
    run = tasks.run(setup_defaults, 404)

    assert isinstance(run.error, onboarding.NotReady)
    assert run.attempts == 1


@pytest.mark.task(
    "app.workflows.user_onboarding.setup_defaults.setup_defaults", "retry"
)
def test_retry_follows_when_the_database_is_back(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = UserFactory.create()
    service = locked_once(onboarding.set_up_defaults)
    monkeypatch.setattr(onboarding, "set_up_defaults", service)

    run = tasks.run(setup_defaults, user.pk)

    assert run.result == UserPreferences.objects.get().pk
    assert run.retry_delays == [1]
