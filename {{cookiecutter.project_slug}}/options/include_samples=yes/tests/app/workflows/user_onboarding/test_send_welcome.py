"""The second step of the onboarding."""

import pytest

from app.models import MailDelivery
from app.services import onboarding
from app.workflows.user_onboarding.send_welcome import send_welcome
from ledger.states import State
from tests.factories.onboarding import UserFactory
from tests.harness.mail_servers import MailServer
from tests.helpers.tester import TaskTester


def user_with_preferences() -> int:
    user = UserFactory.create()
    onboarding.set_up_defaults(user.pk)
    return user.pk


@pytest.mark.task(
    "app.workflows.user_onboarding.send_welcome.send_welcome", "execution"
)
def test_execution_welcomes_the_user(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    user_id = user_with_preferences()

    assert tasks.run(send_welcome, user_id).result["sent"] == 1
    assert len(mail_server.received) == 1


@pytest.mark.task("app.workflows.user_onboarding.send_welcome.send_welcome", "retry")
def test_retry_welcomes_when_the_server_is_well_again(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    user_id = user_with_preferences()
    mail_server.sender_answers = ["451 busy"] * 4

    run = tasks.run(send_welcome, user_id)

    assert run.result["sent"] == 1
    assert run.retry_delays == [1, 2, 4, 8]
    assert len(mail_server.received) == 1


@pytest.mark.task(
    "app.workflows.user_onboarding.send_welcome.send_welcome", "failure", "retry"
)
def test_failure_of_the_last_attempt_is_recorded(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    user_id = user_with_preferences()
    mail_server.sender_answers = ["451 busy"] * 100

    run = tasks.run(send_welcome, user_id)

    assert run.state == State.FAILED
    assert MailDelivery.objects.get().state == MailDelivery.State.FAILED


@pytest.mark.task(
    "app.workflows.user_onboarding.send_welcome.send_welcome", "idempotency"
)
def test_idempotency_a_run_executed_twice_welcomes_once(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    user_id = user_with_preferences()

    def messages() -> int:
        return len(mail_server.received)

    assert tasks.twice(send_welcome, user_id, effects=messages) == 1
