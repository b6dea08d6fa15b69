"""Weekly tasks."""

import pytest

from app.tasks.periodic.weekly_tasks import mail_digest
from config.env import env
from tests.harness.mail_servers import MailServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("tasks_run_at_once")]


def test_digest_run_twice_in_a_week_is_mailed_once(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "DIGEST_RECIPIENTS", ["team@example.org"])

    first, second = (mail_digest.apply().get() for _ in range(2))

    assert first == second
    assert mail_server.messages_by_recipient() == {"team@example.org": 1}


def test_digest_for_nobody_is_not_written(mail_server: MailServer) -> None:
    assert mail_digest.apply().get() is None
    assert mail_server.received == []
