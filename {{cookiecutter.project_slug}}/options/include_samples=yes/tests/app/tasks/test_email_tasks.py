"""The tasks of the email domain."""

from collections import Counter

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
from tests.helpers.tester import TaskTester

State = MailDelivery.State


@pytest.mark.task("app.tasks.email_tasks.send_bulk", "execution")
def test_execution_sends_to_everybody_and_returns_the_counts(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    mailing = MailingFactory.create()
    MailDeliveryFactory.create_batch(3, mailing=mailing)

    counts = tasks.run(send_bulk, mailing.pk).result

    assert (counts["sent"], counts["total"]) == (3, 3)
    assert len(mail_server.received) == 3


@pytest.mark.task("app.tasks.email_tasks.send_bulk", "retry")
def test_retry_after_a_failure_in_the_middle_mails_nobody_twice(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    mailing = MailingFactory.create()
    deliveries = MailDeliveryFactory.create_batch(5, mailing=mailing)
    mail_server.hang_up_on.add(deliveries[2].recipient)

    counts = tasks.run(send_bulk, mailing.pk).result

    assert (counts["sent"], counts["uncertain"]) == (4, 1)
    assert mail_server.messages_by_recipient() == {
        delivery.recipient: 1 for delivery in deliveries
    }


@pytest.mark.task("app.tasks.email_tasks.send_bulk", "failure", "retry")
def test_failure_of_the_last_attempt_is_recorded(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    delivery = MailDeliveryFactory.create()
    mail_server.recipient_answers[delivery.recipient] = "450 try again later"

    run = tasks.run(send_bulk, delivery.mailing_id)

    delivery.refresh_from_db()
    assert isinstance(run.error, email.MailDeferred)
    assert run.retry_delays[:4] == [1, 2, 4, 8]
    assert delivery.state == State.FAILED
    assert delivery.attempts == 1 + (send_bulk.max_retries or 0)


@pytest.mark.task("app.tasks.email_tasks.send_bulk", "progress")
def test_progress_is_visible_in_the_state_of_the_task(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    mailing = MailingFactory.create()
    MailDeliveryFactory.create_batch(60, mailing=mailing)

    run = tasks.run(send_bulk, mailing.pk)

    assert run.progress == [
        {"current": 50, "total": 60},
        {"current": 60, "total": 60},
    ]


@pytest.mark.task("app.tasks.email_tasks.send_bulk", "idempotency")
def test_idempotency_a_run_executed_twice_mails_once(
    tasks: TaskTester, mail_server: MailServer
) -> None:
    delivery = MailDeliveryFactory.create()

    messages = tasks.twice(
        send_bulk, delivery.mailing_id, effects=mail_server.messages_by_recipient
    )

    assert messages == Counter({delivery.recipient: 1})


@pytest.mark.task("app.tasks.email_tasks.send_bulk", "failure")
def test_soft_time_limit_settles_the_row_in_flight_and_a_new_run_sends_the_rest(
    tasks: TaskTester, mail_server: MailServer, monkeypatch: MonkeyPatch
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

    counts = tasks.run(send_bulk, mailing.pk).result

    assert (counts["uncertain"], counts["sent"]) == (1, 2)
    assert mailing.deliveries.get(state=State.UNCERTAIN).error == (
        "SoftTimeLimitExceeded while sending"
    )


@pytest.mark.task("app.tasks.email_tasks.send_bulk", "failure", "retry")
def test_soft_time_limits_do_not_use_up_the_retries(
    tasks: TaskTester, monkeypatch: MonkeyPatch
) -> None:
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

    assert tasks.run(send_bulk, mailing.pk).result["total"] == 0
