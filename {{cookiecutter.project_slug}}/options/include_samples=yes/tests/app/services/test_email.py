"""Bulk mail, against a real SMTP server."""

from collections.abc import Iterator, Sequence

import pytest
from django.core.mail import EmailMessage, get_connection

from app.models import MailDelivery, Mailing
from app.services import email
from app.services.smtp import MailConnection, MailServerUnavailable, Verdict
from tests.factories.email import MailDeliveryFactory, MailingFactory
from tests.harness.mail_servers import MailServer

pytestmark = pytest.mark.django_db

State = MailDelivery.State

ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.org"


def mailing_to(*recipients: str) -> Mailing:
    return email.create("News", "Something happened.", recipients)


def states(mailing: Mailing) -> dict[str, str]:
    return dict(mailing.deliveries.values_list("recipient", "state"))


def test_everybody_gets_the_message_over_one_connection(
    mail_server: MailServer,
) -> None:
    mailing = mailing_to(ALICE, BOB, CAROL)

    email.send(mailing.pk)

    assert mail_server.messages_by_recipient() == {ALICE: 1, BOB: 1, CAROL: 1}
    assert mail_server.connections == 1
    mailing.refresh_from_db()
    assert mailing.finished_at is not None


def test_message_has_text_html_and_an_id_that_every_attempt_repeats(
    mail_server: MailServer,
) -> None:
    delivery = MailDeliveryFactory.create(mailing__body="a < b")

    email.send(delivery.mailing_id)

    [(_, message)] = mail_server.received
    _, text, html = [part.get_payload() for part in message.walk()]
    assert str(delivery.message_id) in message["Message-ID"]
    assert "a < b" in str(text)
    assert "a &lt; b" in str(html)


def test_recipient_listed_twice_gets_one_message(mail_server: MailServer) -> None:
    mailing = mailing_to(ALICE, f" {ALICE} ", "Alice@Example.org")

    email.send(mailing.pk)

    assert len(mail_server.received) == 1


def test_second_mailing_with_the_same_key_is_the_first_one() -> None:
    first, second = (
        email.create("News", "Text", [recipient], key="week 47")
        for recipient in (ALICE, BOB)
    )

    assert first == second
    assert states(first) == {ALICE: State.PENDING}


@pytest.mark.parametrize("subject", ["", "x" * 201, "two\nlines"])
def test_subject_that_is_not_one_line_is_refused(subject: str) -> None:
    with pytest.raises(email.InvalidMailing, match="one line of 1 to 200"):
        email.create(subject, "Text", [ALICE])


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_key_that_is_empty_or_too_long_is_refused(key: str) -> None:
    with pytest.raises(email.InvalidMailing, match="key: expected 1 to 200"):
        email.create("News", "Text", [ALICE], key=key)


def test_mailing_to_nobody_is_refused() -> None:
    with pytest.raises(email.InvalidMailing, match="at least one"):
        mailing_to()


@pytest.mark.parametrize("address", ["nobody", "a@", "a b@example.org", "x" * 400])
def test_malformed_address_is_recorded_and_skipped(
    mail_server: MailServer, address: str
) -> None:
    mailing = mailing_to(address, BOB)

    email.send(mailing.pk)

    assert states(mailing) == {address[:320]: State.BAD_ADDRESS, BOB: State.SENT}


def test_address_that_the_server_does_not_know_is_recorded_and_skipped(
    mail_server: MailServer,
) -> None:
    mailing = mailing_to(ALICE, BOB)
    mail_server.recipient_answers[ALICE] = "550 no such user"

    email.send(mailing.pk)

    assert states(mailing) == {ALICE: State.BAD_ADDRESS, BOB: State.SENT}
    assert mailing.deliveries.get(recipient=ALICE).error == "550 no such user"


def test_message_that_the_server_rejects_has_failed(mail_server: MailServer) -> None:
    mailing = mailing_to(ALICE, BOB)
    mail_server.message_answers[ALICE] = "554 looks like spam"

    email.send(mailing.pk)

    assert states(mailing) == {ALICE: State.FAILED, BOB: State.SENT}


@pytest.mark.parametrize("answers", ["recipient_answers", "message_answers"])
def test_recipient_deferred_by_the_server_is_tried_again_and_the_others_are_not(
    mail_server: MailServer, answers: str
) -> None:
    mailing = mailing_to(ALICE, BOB, CAROL)
    getattr(mail_server, answers)[BOB] = "450 try again later"

    with pytest.raises(email.MailDeferred, match="1 recipients"):
        email.send(mailing.pk)
    assert states(mailing)[BOB] == State.PENDING

    getattr(mail_server, answers).clear()
    email.send(mailing.pk)

    assert mail_server.messages_by_recipient() == {ALICE: 1, BOB: 1, CAROL: 1}


def test_connection_that_breaks_after_the_message_leaves_it_uncertain_for_ever(
    mail_server: MailServer,
) -> None:
    mailing = mailing_to(ALICE, BOB, CAROL)
    mail_server.hang_up_on.add(BOB)

    with pytest.raises(MailServerUnavailable, match="SMTPServerDisconnected"):
        email.send(mailing.pk)
    email.send(mailing.pk)

    assert states(mailing) == {
        ALICE: State.SENT,
        BOB: State.UNCERTAIN,
        CAROL: State.SENT,
    }
    assert mail_server.messages_by_recipient() == {ALICE: 1, BOB: 1, CAROL: 1}


def test_interruption_while_sending_leaves_the_row_uncertain(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailing = mailing_to(ALICE, BOB)

    def interrupted(self: object, messages: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(type(get_connection()), "send_messages", interrupted)
        email.send(mailing.pk)
    email.send(mailing.pk)

    assert states(mailing) == {ALICE: State.UNCERTAIN, BOB: State.SENT}


def test_row_that_a_dead_worker_had_claimed_is_uncertain_and_not_sent(
    mail_server: MailServer,
) -> None:
    mailing = MailingFactory.create()
    MailDeliveryFactory.create(mailing=mailing, recipient=ALICE, state=State.SENDING)
    MailDeliveryFactory.create(mailing=mailing, recipient=BOB)

    result = email.send(mailing.pk)

    assert mail_server.messages_by_recipient() == {BOB: 1}
    assert (result["uncertain"], result["sent"], result["total"]) == (1, 1, 2)


def test_row_that_another_worker_claims_first_is_left_to_it(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailing = mailing_to(ALICE)
    read_batches = email._pending_batches

    def read_and_lose(
        mailing: Mailing, batch_size: int
    ) -> Iterator[Sequence[MailDelivery]]:
        for batch in read_batches(mailing, batch_size):
            mailing.deliveries.update(state=State.SENDING)
            yield batch

    monkeypatch.setattr(email, "_pending_batches", read_and_lose)
    email.send(mailing.pk)

    assert mail_server.received == []
    mailing.refresh_from_db()
    assert mailing.finished_at is None


def test_worker_that_sent_knows_better_than_one_that_found_the_row_claimed(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailing = mailing_to(ALICE)
    send = MailConnection.send

    def send_while_another_begins(
        self: MailConnection, message: EmailMessage
    ) -> Verdict:
        email.send(mailing.pk)
        return send(self, message)

    monkeypatch.setattr(MailConnection, "send", send_while_another_begins)
    email.send(mailing.pk)

    assert states(mailing) == {ALICE: State.SENT}
    assert mail_server.messages_by_recipient() == {ALICE: 1}


def test_server_that_limits_messages_per_connection_gets_several(
    mail_server: MailServer,
) -> None:
    mailing = mailing_to(*(f"reader{number}@example.org" for number in range(5)))
    mail_server.messages_per_connection = 2

    with pytest.raises(email.MailDeferred):
        email.send(mailing.pk)
    email.send(mailing.pk)

    assert set(mail_server.messages_by_recipient().values()) == {1}
    assert len(mail_server.received) == 5


def test_server_that_refuses_the_sender_is_not_asked_for_every_recipient(
    mail_server: MailServer,
) -> None:
    mailing = mailing_to(ALICE, BOB)
    mail_server.sender_answers = ["550 who are you"] * 2

    with pytest.raises(MailServerUnavailable, match="who are you"):
        email.send(mailing.pk)

    assert len(mail_server.sender_answers) == 1
    assert set(states(mailing).values()) == {State.PENDING}


def test_server_that_does_not_listen_leaves_everybody_pending(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.conf.settings.EMAIL_PORT", 1)
    mailing = mailing_to(ALICE)

    with pytest.raises(MailServerUnavailable, match="ConnectionRefused"):
        email.send(mailing.pk)

    delivery = mailing.deliveries.get()
    assert (delivery.state, delivery.attempts) == (State.PENDING, 0)


def test_progress_counts_what_is_settled_batch_by_batch() -> None:
    mailing = mailing_to("malformed", ALICE, BOB, CAROL)
    progress: list[tuple[int, int]] = []

    email.send(
        mailing.pk,
        on_progress=lambda current, total: progress.append((current, total)),
        batch_size=2,
    )

    assert progress == [(3, 4), (4, 4)]


def test_giving_up_fails_only_what_is_pending() -> None:
    mailing = MailingFactory.create()
    MailDeliveryFactory.create(mailing=mailing, recipient=ALICE)
    MailDeliveryFactory.create(mailing=mailing, recipient=BOB, state=State.SENT)

    email.give_up(mailing.pk, reason="no route to host")

    assert states(mailing) == {ALICE: State.FAILED, BOB: State.SENT}
    assert mailing.deliveries.get(recipient=ALICE).error == "no route to host"


def test_uncertain_deliveries_are_sent_again_when_a_person_says_so(
    mail_server: MailServer,
) -> None:
    mailing = MailingFactory.create()
    MailDeliveryFactory.create(mailing=mailing, recipient=ALICE, state=State.UNCERTAIN)
    MailDeliveryFactory.create(mailing=mailing, recipient=BOB, state=State.SENT)

    assert email.send_uncertain_again(mailing.pk) == 1
    email.send(mailing.pk)

    assert mail_server.messages_by_recipient() == {ALICE: 1}
