"""The order of the onboarding."""

from collections.abc import Iterator

import pytest
from celery.signals import task_prerun

from app.services import onboarding
from app.workflows.user_onboarding import orchestrator
from tests.factories.onboarding import UserFactory
from tests.harness.mail_servers import MailServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def started(tasks_run_at_once: None) -> Iterator[list[str]]:
    """The last parts of the names of the tasks, as they start."""
    names: list[str] = []

    def record(task: object, **extra: object) -> None:
        names.append(getattr(task, "name").rpartition(".")[2])

    task_prerun.connect(record)
    yield names
    task_prerun.disconnect(record)


def test_defaults_are_set_up_before_the_welcome(
    started: list[str], mail_server: MailServer
) -> None:
    user = UserFactory.create()

    orchestrator.start(user.pk)

    assert started == ["setup_defaults", "send_welcome"]
    assert mail_server.messages_by_recipient() == {user.email: 1}


def test_nobody_is_welcomed_when_the_setup_failed(
    started: list[str], mail_server: MailServer
) -> None:
    with pytest.raises(onboarding.NotReady):
        orchestrator.start(404)

    assert started == ["setup_defaults"]
    assert mail_server.received == []


def test_onboarding_started_twice_welcomes_once(
    started: list[str], mail_server: MailServer
) -> None:
    user = UserFactory.create()

    orchestrator.start(user.pk)
    orchestrator.start(user.pk)

    assert len(mail_server.received) == 1
