"""How the web side starts tasks."""

import pytest
from django.db import transaction
from kombu.exceptions import OperationalError

from app.tasks.notification_tasks import deliver_webhook
from app.tasks.utils.enqueueing import enqueue_after_commit
from config.env import NO_BROKER_URL
from tests.harness.broker import publishing_to


@pytest.mark.django_db(transaction=True)
def test_nothing_is_enqueued_when_the_transaction_is_rolled_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[object] = []
    monkeypatch.setattr(deliver_webhook, "apply_async", lambda *a, **o: sent.append(a))

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        enqueue_after_commit(deliver_webhook, 1)
        raise ZeroDivisionError
    assert not sent

    with transaction.atomic():
        enqueue_after_commit(deliver_webhook, 1)
        assert not sent
    assert len(sent) == 1


@pytest.mark.django_db(transaction=True)
def test_broker_that_is_down_does_not_hold_the_request_up() -> None:
    # Without `ignore_result` Celery raises another error, after 20 s of retries.
    with publishing_to(NO_BROKER_URL), pytest.raises(OperationalError):
        enqueue_after_commit(deliver_webhook, 1)
