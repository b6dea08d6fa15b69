"""Daily tasks."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from app.models import Export, MailDelivery, Report, WebhookDelivery
from app.services import notification
from app.tasks import cleanup_tasks
from app.tasks.periodic.daily_tasks import prune_webhook_deliveries, remove_expired
from tests.factories.email import MailDeliveryFactory
from tests.factories.export import ExportFactory
from tests.factories.imports import ReportFactory
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.retries import locked, locked_once
from tests.helpers.tester import TaskTester

LONG_AGO = timezone.now() - timedelta(days=400)


@pytest.mark.task(
    "app.tasks.periodic.daily_tasks.prune_webhook_deliveries", "execution"
)
def test_prune_webhook_deliveries_deletes_old_rows(tasks: TaskTester) -> None:
    WebhookDeliveryFactory.create_batch(3, finished_at=LONG_AGO)

    assert tasks.run(prune_webhook_deliveries).result == 3


@pytest.mark.task(
    "app.tasks.periodic.daily_tasks.prune_webhook_deliveries", "idempotency"
)
def test_prune_webhook_deliveries_executed_twice_deletes_no_more(
    tasks: TaskTester,
) -> None:
    WebhookDeliveryFactory.create(finished_at=LONG_AGO)
    kept = WebhookDeliveryFactory.create(finished_at=timezone.now())

    def rows() -> list[int]:
        return [*WebhookDelivery.objects.values_list("pk", flat=True)]

    assert tasks.twice(prune_webhook_deliveries, effects=rows) == [kept.pk]


@pytest.mark.task("app.tasks.periodic.daily_tasks.prune_webhook_deliveries", "retry")
def test_prune_webhook_deliveries_is_retried_when_the_database_is_away(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    WebhookDeliveryFactory.create(finished_at=LONG_AGO)
    monkeypatch.setattr(notification, "prune", locked_once(notification.prune))

    run = tasks.run(prune_webhook_deliveries)

    assert (run.result, run.retry_delays) == (1, [1])


@pytest.mark.task(
    "app.tasks.periodic.daily_tasks.prune_webhook_deliveries", "failure", "retry"
)
def test_prune_webhook_deliveries_gives_up_when_the_database_stays_away(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification, "prune", locked)

    run = tasks.run(prune_webhook_deliveries)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]


@pytest.mark.task("app.tasks.periodic.daily_tasks.remove_expired", "execution")
def test_remove_expired_starts_the_removal_of_everything(tasks: TaskTester) -> None:
    run = tasks.run(remove_expired)

    assert set(run.started) == {
        remove_expired.name,
        cleanup_tasks.remove_exports.name,
        cleanup_tasks.remove_mailings.name,
        cleanup_tasks.remove_reports.name,
    }


@pytest.mark.task("app.tasks.periodic.daily_tasks.remove_expired", "idempotency")
def test_remove_expired_executed_twice_removes_no_more(tasks: TaskTester) -> None:
    ReportFactory.create(finished_at=LONG_AGO)
    export = ExportFactory.create(finished_at=LONG_AGO)
    MailDeliveryFactory.create(mailing__finished_at=LONG_AGO)

    def rows() -> list[object]:
        return [
            *Report.objects.all(),
            *Export.objects.all(),
            *MailDelivery.objects.all(),
        ]

    assert tasks.twice(remove_expired, effects=rows) == [export.report]


@pytest.mark.task("app.tasks.periodic.daily_tasks.remove_expired", "failure", "retry")
def test_remove_expired_gives_up_when_the_database_stays_away(
    tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.tasks.periodic.daily_tasks.group", locked)

    run = tasks.run(remove_expired)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]
