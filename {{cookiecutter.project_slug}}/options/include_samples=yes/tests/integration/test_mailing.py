"""A mailing on its whole way: API, broker, worker, mail server."""

import os
from collections.abc import Callable, Iterator
from signal import SIGKILL

import pytest
from django.test import Client

from app.models import Mailing
from app.services import email
from tests.harness.broker import active_process
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.mail_servers import MailServer, serving_mail

pytestmark = pytest.mark.integration

READERS = [f"reader{number}@example.org" for number in range(10)]


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A real SMTP server; a worker is told of it by `environment()`."""
    with serving_mail() as running:
        yield running


def send(api: Client) -> Mailing:
    body = {"subject": "News", "body": "Text", "recipients": READERS}
    response = api.post("/api/mailings", body, content_type="application/json")
    assert response.status_code == 202, response.content
    return Mailing.objects.get(pk=response.json()["id"])


def finished(mailing: Mailing) -> Callable[[], bool]:
    def mailing_is_finished() -> bool:
        mailing.refresh_from_db()
        return mailing.finished_at is not None

    return mailing_is_finished


def test_mailing_sent_to_the_api_reaches_everybody(
    api: Client, mail_server: MailServer, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("io", **mail_server.environment())

    mailing = send(api)

    wait_until(finished(mailing))
    assert mail_server.messages_by_recipient() == dict.fromkeys(READERS, 1)


def test_worker_killed_in_the_middle_of_a_mailing_mails_nobody_twice(
    api: Client, mail_server: MailServer, worker: StartWorker, wait_until: WaitUntil
) -> None:
    io = worker("io", **mail_server.environment())
    mail_server.held.add(READERS[4])
    mailing = send(api)
    mail_server.wait_for(5)
    [started] = io.records("task started")

    os.kill(active_process(started["task_id"]), SIGKILL)

    wait_until(finished(mailing))
    assert mail_server.messages_by_recipient() == dict.fromkeys(READERS, 1)
    counts = email.counts(mailing.pk)
    assert (counts["sent"], counts["uncertain"]) == (9, 1)


def test_uncertain_delivery_sent_again_while_the_mailing_runs_is_sent(
    api: Client,
    admin_client: Client,
    mail_server: MailServer,
    worker: StartWorker,
    wait_until: WaitUntil,
) -> None:
    worker("io", EMAIL_TIMEOUT_SECONDS="120", **mail_server.environment())
    mail_server.hang_up_on.add(READERS[0])
    mail_server.held.add(READERS[4])
    mailing = send(api)
    mail_server.wait_for(5)
    mail_server.hang_up_on.clear()

    form = {"action": "send_uncertain_again", "_selected_action": mailing.pk}
    admin_client.post("/admin/app/mailing/", form)
    mail_server.wait_for(11)  # all others, by a second run beside the first
    mail_server.release.set()

    wait_until(lambda: email.counts(mailing.pk)["sent"] == len(READERS))
    wait_until(finished(mailing))
    twice = {READERS[0]: 2}
    assert mail_server.messages_by_recipient() == dict.fromkeys(READERS, 1) | twice
