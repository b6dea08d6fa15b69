"""Daily tasks."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from app.models import WebhookDelivery
from app.services import notification
from app.tasks.periodic.daily_tasks import prune_webhook_deliveries
from tests.factories.notification import WebhookDeliveryFactory

pytestmark = pytest.mark.django_db


def test_prune_webhook_deliveries_deletes_old_rows_and_a_second_run_nothing() -> None:
    long_ago = timezone.now() - timedelta(days=400)
    WebhookDeliveryFactory.create_batch(3, finished_at=long_ago)

    first, second = (prune_webhook_deliveries.apply().get() for _ in range(2))

    assert (first, second) == (3, 0)
    assert not WebhookDelivery.objects.exists()


def test_prune_webhook_deliveries_is_retried_when_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures = iter([OperationalError("locked"), OperationalError("locked")])

    def prune() -> int:
        for failure in failures:
            raise failure
        return 7

    monkeypatch.setattr(notification, "prune", prune)

    assert prune_webhook_deliveries.apply().get() == 7
