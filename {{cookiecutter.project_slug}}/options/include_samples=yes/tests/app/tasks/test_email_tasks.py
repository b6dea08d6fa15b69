"""The tasks of the email domain, run in this process."""

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core.mail import EmailMessage
from pytest import MonkeyPatch

from app.models import MailDelivery
from app.services import email
from app.services.smtp import MailConnection, MailServerUnavailable, Verdict
from app.tasks.email_tasks import send_bulk
from tests.factories.email import MailDeliveryFactory, MailingFactory
from tests.harness.mail_servers import MailServer
from tests.harness.retries import delays

pytestmark = pytest.mark.django_db

State = MailDelivery.State


def test_execution_sends_to_everybody_and_returns_the_counts(
    mail_server: MailServer,
) -> None:
    mailing = MailingFactory.create()
    MailDeliveryFactory.create_batch(3, mailing=mailing)

    counts = send_bulk.apply(args=(mailing.pk,)).get()

    assert (counts["sent"], counts["total"]) == (3, 3)
    assert len(mail_server.received) == 3


def test_retry_after_a_failure_in_the_middle_mails_nobody_twice(
    mail_server: MailServer,
) -> None:
    mailing = MailingFactory.create()
    deliveries = MailDeliveryFactory.create_batch(5, mailing=mailing)
    mail_server.hang_up_on.add(deliveries[2].recipient)

    counts = send_bulk.apply(args=(mailing.pk,)).get()

    assert (counts["sent"], counts["uncertain"]) == (4, 1)
    assert mail_server.messages_by_recipient() == {
        delivery.recipient: 1 for delivery in deliveries
    }


def test_retry_waits_longer_after_every_attempt(
    mail_server: MailServer, monkeypatch: MonkeyPatch
) -> None:
    delivery = MailDeliveryFactory.create()
    mail_server.recipient_answers[delivery.recipient] = "450 try again later"

    waited = delays(send_bulk, delivery.mailing_id, monkeypatch=monkeypatch)

    assert waited == [1, 2, 4, 8]


def test_failure_of_the_last_attempt_is_recorded(mail_server: MailServer) -> None:
    delivery = MailDeliveryFactory.create()
    mail_server.recipient_answers[delivery.recipient] = "450 try again later"

    result = send_bulk.apply(args=(delivery.mailing_id,))

    delivery.refresh_from_db()
    assert isinstance(result.result, email.MailDeferred)
    assert delivery.state == State.FAILED
    assert delivery.attempts == 1 + (send_bulk.max_retries or 0)


def test_progress_is_visible_in_the_state_of_the_task(
    monkeypatch: MonkeyPatch,
) -> None:
    mailing = MailingFactory.create()
    MailDeliveryFactory.create_batch(60, mailing=mailing)
    seen = []
    monkeypatch.setattr(send_bulk, "update_state", lambda **state: seen.append(state))

    send_bulk.apply(args=(mailing.pk,))

    assert seen == [
        {"state": "PROGRESS", "meta": {"current": current, "total": 60}}
        for current in (50, 60)
    ]


def test_idempotency_a_message_delivered_twice_mails_once(
    mail_server: MailServer,
) -> None:
    delivery = MailDeliveryFactory.create()

    send_bulk.apply(args=(delivery.mailing_id,))
    send_bulk.apply(args=(delivery.mailing_id,))

    assert len(mail_server.received) == 1


def test_soft_time_limit_settles_the_row_in_flight_and_a_new_run_sends_the_rest(
    mail_server: MailServer, monkeypatch: MonkeyPatch
) -> None:
    mailing = MailingFactory.create()
    MailDeliveryFactory.create_batch(3, mailing=mailing)
    interruptions = iter([SoftTimeLimitExceeded()])
    send = MailConnection.send

    def interrupted_once(self: MailConnection, message: EmailMessage) -> Verdict:
        for interruption in interruptions:
            raise interruption
        return send(self, message)

    monkeypatch.setattr(MailConnection, "send", interrupted_once)

    counts = send_bulk.apply(args=(mailing.pk,)).get()

    assert (counts["uncertain"], counts["sent"]) == (1, 2)
    assert mailing.deliveries.get(state=State.UNCERTAIN).error == (
        "SoftTimeLimitExceeded while sending"
    )


def test_soft_time_limits_do_not_use_up_the_retries(monkeypatch: MonkeyPatch) -> None:
    mailing = MailingFactory.create()
    outcomes: list[Exception] = [SoftTimeLimitExceeded() for _ in range(20)]
    outcomes += [MailServerUnavailable() for _ in range(send_bulk.max_retries or 0)]
    remaining = iter(outcomes)
    send = email.send

    def interrupted(mailing_id: int, **options: object) -> dict[str, int]:
        for outcome in remaining:
            raise outcome
        return send(mailing_id)

    monkeypatch.setattr(email, "send", interrupted)

    assert send_bulk.apply(args=(mailing.pk,)).state == "SUCCESS"
