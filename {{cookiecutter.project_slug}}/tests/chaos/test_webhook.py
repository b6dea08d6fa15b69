"""The network to the broker breaks while a webhook is sent."""

import pytest

from app.tasks.notification_tasks import deliver_webhook
from ledger.models import TaskRun
from ledger.states import State
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.broker import through
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.proxy import Proxy
from tests.harness.receivers import Receiver
from tools.dev.broker import Broker

pytestmark = pytest.mark.chaos


def test_webhook_is_delivered_once_although_the_broker_is_cut_off(
    receiver: Receiver,
    proxy: Proxy,
    broker: Broker,
    worker: StartWorker,
    wait_until: WaitUntil,
) -> None:
    worker("io", broker_url=through(proxy, broker.url))
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.hold()
    result = deliver_webhook.delay(delivery.pk)
    receiver.wait_for(1)

    proxy.black_hole()
    receiver.release.set()

    wait_until(lambda: TaskRun.objects.get(pk=result.id).state == State.SUCCEEDED)
    assert len(receiver.requests) == 1
