"""The onboarding of a user on a real broker: order, and stop on failure."""

from collections.abc import Iterator

import pytest
from celery.result import AsyncResult

from app.workflows.user_onboarding import orchestrator
from tests.factories.onboarding import UserFactory
from tests.harness.fixtures import StartWorker
from tests.harness.mail_servers import MailServer, serving_mail

pytestmark = pytest.mark.integration


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    """A real SMTP server; a worker is told of it by `environment()`."""
    with serving_mail() as running:
        yield running


def ended(task_id: str) -> dict[str, int]:
    result: AsyncResult[dict[str, int]] = AsyncResult(task_id)
    return result.get(timeout=30)


def test_user_is_set_up_and_then_welcomed(
    mail_server: MailServer, worker: StartWorker
) -> None:
    serving = worker("fast", "io", **mail_server.environment())
    user = UserFactory.create()

    counts = ended(orchestrator.start(user.pk))

    started = [record["task"] for record in serving.records("task started")]
    assert [name.rpartition(".")[2] for name in started] == [
        "setup_defaults",
        "send_welcome",
    ]
    assert counts["sent"] == 1
    assert mail_server.messages_by_recipient() == {user.email: 1}


def test_user_who_cannot_be_set_up_is_not_welcomed(
    worker: StartWorker, mail_server: MailServer
) -> None:
    serving = worker("fast", "io", **mail_server.environment())

    orchestrator.start(404)
    # Both queues have one worker, so that what came first is over when this has ended.
    ended(orchestrator.start(UserFactory.create().pk))

    started = [record["task"] for record in serving.records("task started")]
    assert sum(name.endswith("setup_defaults") for name in started) == 2
    assert sum(name.endswith("send_welcome") for name in started) == 1
