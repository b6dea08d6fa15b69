"""The topology on a real broker: every queue has its worker, and no other queue exists."""

import pytest
from celery.exceptions import QueueNotFound

from app.tasks.periodic.daily_tasks import prune_webhook_deliveries
from config.celery import app
from config.queues import QUEUES
from tests.harness.broker import waiting
from tests.harness.fixtures import StartWorker, WaitUntil
from tools.dev.broker import Broker

pytestmark = pytest.mark.integration


def test_undeclared_queue_is_an_error_and_not_a_new_queue(broker: Broker) -> None:
    with pytest.raises(QueueNotFound, match="urgent"):
        prune_webhook_deliveries.apply_async(queue="urgent")

    assert waiting(broker.url, "urgent") == 0


def test_every_worker_serves_its_own_queue_alone(
    worker: StartWorker, wait_until: WaitUntil
) -> None:
    small = ",".join(f"{queue.name}=1" for queue in QUEUES)
    workers = [
        worker(queue.name, ready=False, WORKER_CONCURRENCY=small) for queue in QUEUES
    ]
    for started in workers:
        started.wait_until_ready()

    served: dict[str, list[str]] = {}

    def all_have_answered() -> bool:
        # Asked again, because a worker hears questions only a moment after it is ready.
        replies = app.control.inspect(limit=len(QUEUES)).active_queues() or {}
        for node, consumed in replies.items():
            served[node.partition("@")[0]] = [queue["name"] for queue in consumed]
        return len(served) == len(QUEUES)

    wait_until(all_have_answered)
    assert served == {queue.name: [queue.name] for queue in QUEUES}


def test_message_of_another_queue_is_left_alone(
    broker: Broker, worker: StartWorker
) -> None:
    worker("io")
    slow = prune_webhook_deliveries.apply_async(queue="slow")
    io = prune_webhook_deliveries.apply_async(queue="io")

    io.get(timeout=30)

    assert slow.state == "PENDING"
    assert waiting(broker.url, "slow") == 1
