"""A killed process loses no webhook: it is sent again, with the same key."""

import os
from signal import SIGKILL

import pytest

from app.models import WebhookDelivery
from app.services.notification import IDEMPOTENCY_HEADER
from app.tasks.notification_tasks import deliver_webhook
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.broker import active_process
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.receivers import Receiver

pytestmark = pytest.mark.chaos

# The pool notices a dead process within a second; the rest is patience with slow machines.
CHILD_REPLACED_SECONDS = 15

SHORT_LEASE = {"LEDGER_LEASE_SECONDS": "3", "LEDGER_HEARTBEAT_SECONDS": "1"}


def delivered(delivery: WebhookDelivery) -> bool:
    delivery.refresh_from_db()
    return delivery.state == WebhookDelivery.State.DELIVERED


def keys(receiver: Receiver) -> list[str]:
    name = IDEMPOTENCY_HEADER.lower()
    return [request.headers[name] for request in receiver.requests]


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
    assert keys(receiver) == [str(delivery.idempotency_key)] * 2


def test_task_whose_worker_is_killed_runs_again_when_its_lease_is_over(
    receiver: Receiver, worker: StartWorker, wait_until: WaitUntil
) -> None:
    victim = worker("io", ready=True, **SHORT_LEASE)
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.hold()
    deliver_webhook.delay(delivery.pk)
    receiver.wait_for(1)

    victim.kill()
    worker("io", ready=True, **SHORT_LEASE)

    receiver.wait_for(2)
    receiver.release.set()
    wait_until(lambda: delivered(delivery))
    assert keys(receiver) == [str(delivery.idempotency_key)] * 2
