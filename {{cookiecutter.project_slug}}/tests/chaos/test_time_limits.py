"""Nothing hangs: a task that takes too long is stopped, and its worker goes on."""

import os
from signal import SIGSTOP

import pytest
from billiard.exceptions import TimeLimitExceeded
from celery.exceptions import SoftTimeLimitExceeded

from app.models import WebhookDelivery
from app.tasks.notification_tasks import deliver_webhook
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.broker import active_process, unfinished
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.receivers import Receiver
from tools.dev.broker import Broker

pytestmark = pytest.mark.chaos

State = WebhookDelivery.State

# Only the limits can end the wait for a receiver that does not answer.
NO_HTTP_TIMEOUT = "600"


def test_task_at_its_soft_limit_cleans_up_and_is_not_repeated(
    receiver: Receiver, broker: Broker, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("io", WEBHOOK_TIMEOUT_SECONDS=NO_HTTP_TIMEOUT)
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.hold()

    message = deliver_webhook.apply_async((delivery.pk,), soft_time_limit=1)

    with pytest.raises(SoftTimeLimitExceeded):
        message.get(timeout=20)
    wait_until(lambda: unfinished(broker.url, "io") == 0)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (State.FAILED, 1)
    assert "soft time limit" in delivery.error


def test_process_that_ignores_its_soft_limit_is_killed_and_replaced(
    receiver: Receiver, worker: StartWorker
) -> None:
    worker("io", WORKER_CONCURRENCY="io=1", WEBHOOK_TIMEOUT_SECONDS=NO_HTTP_TIMEOUT)
    stuck, next_one = WebhookDeliveryFactory.create_batch(2, url=receiver.url)
    receiver.hold()
    message = deliver_webhook.apply_async((stuck.pk,), soft_time_limit=4, time_limit=5)
    receiver.wait_for(1)
    process = active_process(message.id)
    os.kill(process, SIGSTOP)  # as deaf to signals as a long loop in C

    with pytest.raises(TimeLimitExceeded):
        message.get(timeout=20)
    receiver.release.set()

    assert deliver_webhook.delay(next_one.pk).get(timeout=20) == State.DELIVERED
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
