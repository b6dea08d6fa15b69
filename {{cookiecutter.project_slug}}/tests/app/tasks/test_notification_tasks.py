"""The tasks of the notification domain."""

from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from limits.strategies import MovingWindowRateLimiter
from pytest import MonkeyPatch
from redis.exceptions import ConnectionError as RedisConnectionError

from app.models import WebhookDelivery
from app.services import notification
from app.tasks.notification_tasks import deliver_webhook
from config.env import env
from ledger.states import State as RunState
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.receivers import Receiver
from tests.helpers.tester import TaskTester

State = WebhookDelivery.State


@pytest.mark.task("app.tasks.notification_tasks.deliver_webhook", "execution")
def test_execution_delivers_and_returns_the_state(
    tasks: TaskTester, receiver: Receiver
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)

    run = tasks.run(deliver_webhook, delivery.pk)

    assert run.result == State.DELIVERED
    assert len(receiver.requests) == 1


@pytest.mark.task("app.tasks.notification_tasks.deliver_webhook", "retry")
def test_retry_follows_until_the_receiver_is_well(
    tasks: TaskTester, receiver: Receiver
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.answers.extend([503] * 4)

    run = tasks.run(deliver_webhook, delivery.pk)

    assert run.result == State.DELIVERED
    assert run.retry_delays == [1, 2, 4, 8]


@pytest.mark.task("app.tasks.notification_tasks.deliver_webhook", "retry")
def test_retry_follows_until_redis_can_be_asked_for_the_rate_limit(
    tasks: TaskTester, receiver: Receiver, monkeypatch: MonkeyPatch
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    failures = iter([RedisConnectionError("refused")] * 4)
    hit = MovingWindowRateLimiter.hit

    def failing(*args: Any) -> bool:
        for failure in failures:
            raise failure
        return hit(*args)

    monkeypatch.setattr(MovingWindowRateLimiter, "hit", failing)

    run = tasks.run(deliver_webhook, delivery.pk)

    assert run.result == State.DELIVERED
    assert run.retry_delays == [1, 2, 4, 8]


@pytest.mark.task("app.tasks.notification_tasks.deliver_webhook", "failure", "retry")
def test_failure_of_the_last_attempt_is_recorded(
    tasks: TaskTester, receiver: Receiver
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    attempts = 1 + (deliver_webhook.max_retries or 0)
    receiver.answers.extend([503] * attempts)

    run = tasks.run(deliver_webhook, delivery.pk)

    delivery.refresh_from_db()
    assert isinstance(run.error, notification.WebhookUnavailable)
    assert (delivery.state, delivery.attempts) == (State.FAILED, attempts)


@pytest.mark.task("app.tasks.notification_tasks.deliver_webhook", "failure")
def test_rejection_is_not_retried(tasks: TaskTester, receiver: Receiver) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)
    receiver.answers.append(404)

    run = tasks.run(deliver_webhook, delivery.pk)

    assert (run.result, run.attempts) == (State.REJECTED, 1)


@pytest.mark.task("app.tasks.notification_tasks.deliver_webhook", "failure")
def test_soft_time_limit_gives_the_delivery_up(
    tasks: TaskTester, monkeypatch: MonkeyPatch
) -> None:
    delivery = WebhookDeliveryFactory.create()

    def interrupted(delivery_id: int, *, idempotency_key: str) -> WebhookDelivery:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(notification, "deliver", interrupted)

    run = tasks.run(deliver_webhook, delivery.pk)

    delivery.refresh_from_db()
    assert (run.state, delivery.state) == (RunState.FAILED, State.FAILED)
    assert "soft time limit" in delivery.error


@pytest.mark.task("app.tasks.notification_tasks.deliver_webhook", "idempotency")
def test_idempotency_a_run_executed_twice_sends_once(
    tasks: TaskTester, receiver: Receiver
) -> None:
    delivery = WebhookDeliveryFactory.create(url=receiver.url)

    def requests() -> int:
        return len(receiver.requests)

    assert tasks.twice(deliver_webhook, delivery.pk, effects=requests) == 1


@pytest.mark.task("app.tasks.notification_tasks.deliver_webhook", "execution")
def test_rate_limit_is_per_receiver(
    tasks: TaskTester, receiver: Receiver, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "WEBHOOK_RATE_LIMIT", "1/hour")
    monkeypatch.setattr(deliver_webhook, "max_retries", 0)
    first, second = WebhookDeliveryFactory.create_batch(2, url=receiver.url)
    elsewhere = WebhookDeliveryFactory.create(
        url=receiver.url.replace("127.0.0.1", "localhost")
    )

    states = [
        tasks.run(deliver_webhook, delivery.pk).state
        for delivery in (first, second, elsewhere)
    ]

    assert states == [RunState.SUCCEEDED, RunState.FAILED, RunState.SUCCEEDED]
