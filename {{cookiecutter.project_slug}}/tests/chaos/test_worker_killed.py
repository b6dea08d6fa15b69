"""A killed process loses nothing: its task runs again, with the same idempotency key."""

import os
from signal import SIGKILL

import pytest

from app.models import WebhookDelivery
from app.services.notification import IDEMPOTENCY_HEADER
from app.tasks.notification_tasks import deliver_webhook
from ledger.states import State
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.broker import active_process
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.receivers import Receiver
from tests.helpers.kill_midway import KillMidway

pytestmark = pytest.mark.chaos

# The pool notices a dead process within a second; the rest is patience with slow machines.
CHILD_REPLACED_SECONDS = 15


def delivered(delivery: WebhookDelivery) -> bool:
    delivery.refresh_from_db()
    return delivery.state == WebhookDelivery.State.DELIVERED


def assert_same_key_twice(receiver: Receiver) -> None:
    name = IDEMPOTENCY_HEADER.lower()
    first, second = (request.headers[name] for request in receiver.requests)
    assert first == second


def test_task_whose_pool_process_is_killed_runs_again_at_once(
    receiver: Receiver, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("io")
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.hold()
    message = deliver_webhook.delay(delivery.pk)
    receiver.wait_for(1)

    os.kill(active_process(message.id), SIGKILL)

    receiver.wait_for(2, timeout=CHILD_REPLACED_SECONDS)
    receiver.release.set()
    wait_until(lambda: delivered(delivery))
    assert_same_key_twice(receiver)


@pytest.mark.task("app.tasks.notification_tasks.deliver_webhook", "idempotency")
def test_webhook_whose_worker_is_killed_is_sent_again_with_the_same_key(
    kill_midway: KillMidway, receiver: Receiver
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.hold(1)

    run = kill_midway(deliver_webhook, delivery.pk, when=lambda: receiver.requests)

    assert (run.state, run.attempts) == (State.SUCCEEDED, 2)
    assert_same_key_twice(receiver)
