"""Daily tasks."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from app.models import Export, MailDelivery, Report, WebhookDelivery
from app.services import notification
from app.tasks.periodic.daily_tasks import prune_webhook_deliveries, remove_expired
from tests.factories.email import MailDeliveryFactory
from tests.factories.export import ExportFactory
from tests.factories.imports import ReportFactory
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


@pytest.mark.usefixtures("tasks_run_at_once")
def test_remove_expired_starts_the_removal_of_everything() -> None:
    long_ago = timezone.now() - timedelta(days=400)
    ReportFactory.create(finished_at=long_ago)
    ExportFactory.create(finished_at=long_ago)
    MailDeliveryFactory.create(mailing__finished_at=long_ago)

    remove_expired.apply().get()

    assert Report.objects.filter(finished_at=long_ago).count() == 0
    assert not Export.objects.exists()
    assert not MailDelivery.objects.exists()
