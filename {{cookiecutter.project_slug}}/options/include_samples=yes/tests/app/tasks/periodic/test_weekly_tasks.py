"""Weekly tasks."""

import pytest
from django.db import OperationalError

from app.models import Mailing
from app.services import digest
from app.tasks.email_tasks import send_bulk
from app.tasks.periodic.weekly_tasks import mail_digest
from config.env import env
from ledger.due import DUE_AT
from tests.harness.mail_servers import MailServer
from tests.harness.retries import locked
from tests.helpers.tester import TaskTester

READER = "team@example.org"


@pytest.mark.task("app.tasks.periodic.weekly_tasks.mail_digest", "execution")
def test_digest_is_mailed_by_the_task_that_it_starts(
    tasks: TaskTester, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "DIGEST_RECIPIENTS", [READER])

    run = tasks.run(mail_digest)

    assert run.started == [mail_digest.name, send_bulk.name]
    assert mail_server.messages_by_recipient() == {READER: 1}


@pytest.mark.task("app.tasks.periodic.weekly_tasks.mail_digest", "execution")
def test_digest_for_nobody_is_not_written(tasks: TaskTester) -> None:
    run = tasks.run(mail_digest)

    assert run.result is None
    assert run.started == [mail_digest.name]


@pytest.mark.task("app.tasks.periodic.weekly_tasks.mail_digest", "execution")
def test_digest_that_is_late_is_of_the_week_that_it_was_due_for(
    tasks: TaskTester, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "DIGEST_RECIPIENTS", [READER])
    monday = "2026-03-09T06:00:00+00:00"

    mail_digest.apply_async(headers={DUE_AT: monday})
    tasks.drain()

    assert Mailing.objects.get().key == "digest:2026-03-02"


@pytest.mark.task("app.tasks.periodic.weekly_tasks.mail_digest", "idempotency")
def test_digest_executed_twice_is_mailed_once(
    tasks: TaskTester, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "DIGEST_RECIPIENTS", [READER])

    messages = tasks.twice(mail_digest, effects=mail_server.messages_by_recipient)

    assert messages == {READER: 1}


@pytest.mark.task("app.tasks.periodic.weekly_tasks.mail_digest", "failure", "retry")
def test_digest_gives_up_when_the_database_stays_away(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "create", locked)

    run = tasks.run(mail_digest)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]
