"""The second step of the onboarding."""

import pytest

from app.models import MailDelivery
from app.services import onboarding
from app.workflows.user_onboarding.send_welcome import send_welcome
from tests.factories.onboarding import UserFactory
from tests.harness.mail_servers import MailServer
from tests.harness.retries import delays

pytestmark = pytest.mark.django_db


@pytest.fixture
def user_id() -> int:
    user = UserFactory.create()
    onboarding.set_up_defaults(user.pk)
    return user.pk


def test_retry_welcomes_when_the_server_is_well_again(
    mail_server: MailServer, user_id: int
) -> None:
    mail_server.sender_answers = ["451 busy", "451 busy"]

    counts = send_welcome.apply(args=(user_id,)).get()

    assert counts["sent"] == 1
    assert len(mail_server.received) == 1


def test_retry_waits_longer_after_every_attempt(
    mail_server: MailServer, user_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail_server.sender_answers = ["451 busy"] * 4

    waited = delays(send_welcome, user_id, monkeypatch=monkeypatch)

    assert waited == [1, 2, 4, 8]


def test_failure_of_the_last_attempt_is_recorded(
    mail_server: MailServer, user_id: int
) -> None:
    mail_server.sender_answers = ["451 busy"] * 100

    result = send_welcome.apply(args=(user_id,))

    assert result.state == "FAILURE"
    assert MailDelivery.objects.get().state == MailDelivery.State.FAILED


def test_idempotency_a_message_delivered_twice_welcomes_once(
    mail_server: MailServer, user_id: int
) -> None:
    send_welcome.apply(args=(user_id,))
    send_welcome.apply(args=(user_id,))

    assert len(mail_server.received) == 1
