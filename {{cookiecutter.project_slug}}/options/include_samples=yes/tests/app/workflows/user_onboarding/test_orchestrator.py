"""The order of the onboarding."""

import pytest

from app.workflows.user_onboarding import orchestrator
from app.workflows.user_onboarding.send_welcome import send_welcome
from app.workflows.user_onboarding.setup_defaults import setup_defaults
from tests.factories.onboarding import UserFactory
from tests.harness.mail_servers import MailServer
from tests.helpers.tester import TaskTester


@pytest.mark.task(
    "app.workflows.user_onboarding.setup_defaults.setup_defaults", "workflow"
)
@pytest.mark.task("app.workflows.user_onboarding.send_welcome.send_welcome", "workflow")
def test_defaults_are_set_up_before_the_welcome(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    user = UserFactory.create()

    orchestrator.start(user.pk)

    assert tasks.drain() == [setup_defaults.name, send_welcome.name]
    assert mail_server.messages_by_recipient() == {user.email: 1}


@pytest.mark.task(
    "app.workflows.user_onboarding.setup_defaults.setup_defaults", "workflow"
)
def test_nobody_is_welcomed_when_the_setup_failed(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    orchestrator.start(404)

    assert tasks.drain() == [setup_defaults.name]
    assert mail_server.received == []


@pytest.mark.task("app.workflows.user_onboarding.send_welcome.send_welcome", "workflow")
def test_onboarding_started_twice_welcomes_once(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    user = UserFactory.create()

    orchestrator.start(user.pk)
    orchestrator.start(user.pk)
    tasks.drain()

    assert len(mail_server.received) == 1
