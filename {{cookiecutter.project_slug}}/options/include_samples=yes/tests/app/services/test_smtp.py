"""What a mail server's answers mean."""

import pytest
from django.core.mail import EmailMessage

from app.models import MailDelivery
from app.services.smtp import MailConnection, MailServerUnavailable, Verdict
from tests.harness.mail_servers import MailServer

State = MailDelivery.State

ALICE = "alice@example.org"


def send_to_alice() -> Verdict:
    with MailConnection() as connection:
        connection.open()
        return connection.send(EmailMessage("News", "Text", to=[ALICE]))


def test_message_that_is_taken_is_sent(mail_server: MailServer) -> None:
    assert send_to_alice() == Verdict(State.SENT)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("550 no such user", State.BAD_ADDRESS),
        ("450 mailbox busy", State.PENDING),
        ("421 going down", State.PENDING),
    ],
)
def test_refused_recipient(mail_server: MailServer, answer: str, state: State) -> None:
    mail_server.recipient_answers[ALICE] = answer

    assert send_to_alice() == Verdict(state, reason=answer)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("554 looks like spam", State.FAILED),
        ("451 try again later", State.PENDING),
    ],
)
def test_refused_message(mail_server: MailServer, answer: str, state: State) -> None:
    mail_server.message_answers[ALICE] = answer

    assert send_to_alice() == Verdict(state, reason=answer)


@pytest.mark.parametrize("answer", ["550 who are you", "421 too busy"])
def test_refused_sender_stops_everything(mail_server: MailServer, answer: str) -> None:
    mail_server.sender_answers = [answer]

    assert send_to_alice() == Verdict(State.PENDING, reason=answer, go_on=False)


def test_lost_answer_is_uncertain_and_stops_everything(mail_server: MailServer) -> None:
    mail_server.hang_up_on.add(ALICE)

    verdict = send_to_alice()

    assert (verdict.state, verdict.go_on) == (State.UNCERTAIN, False)


@pytest.mark.usefixtures("mail_server")
def test_server_that_cannot_be_reached_is_worth_another_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("django.conf.settings.EMAIL_PORT", 1)

    with pytest.raises(MailServerUnavailable, match="ConnectionRefused"):
        send_to_alice()
