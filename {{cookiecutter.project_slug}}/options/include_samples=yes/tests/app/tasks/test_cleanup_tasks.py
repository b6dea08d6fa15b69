"""The tasks of the cleanup domain."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from app.models import Export, MailDelivery, Report
from app.services import cleanup
from app.tasks.cleanup_tasks import remove_exports, remove_mailings, remove_reports
from ledger.task import DurableTask
from tests.factories.email import MailDeliveryFactory
from tests.factories.export import ExportFactory
from tests.factories.imports import ReportFactory
from tests.harness.retries import locked
from tests.helpers.tester import TaskTester

LONG_AGO = timezone.now() - timedelta(days=400)


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


@pytest.mark.task("app.tasks.cleanup_tasks.remove_reports", "execution")
def test_remove_reports_returns_how_many(tasks: TaskTester) -> None:
    ReportFactory.create_batch(2, finished_at=LONG_AGO)

    assert tasks.run(remove_reports).result == 2


@pytest.mark.task("app.tasks.cleanup_tasks.remove_reports", "idempotency")
def test_remove_reports_executed_twice_removes_no_more(tasks: TaskTester) -> None:
    ReportFactory.create(finished_at=LONG_AGO)
    ReportFactory.create(finished_at=timezone.now())

    assert tasks.twice(remove_reports, effects=Report.objects.count) == 1


@pytest.mark.task("app.tasks.cleanup_tasks.remove_exports", "execution")
def test_remove_exports_returns_how_many(tasks: TaskTester) -> None:
    ExportFactory.create(finished_at=LONG_AGO)

    assert tasks.run(remove_exports).result == 1


@pytest.mark.task("app.tasks.cleanup_tasks.remove_exports", "idempotency")
def test_remove_exports_executed_twice_removes_no_more(tasks: TaskTester) -> None:
    ExportFactory.create(finished_at=LONG_AGO)
    ExportFactory.create(finished_at=timezone.now())

    assert tasks.twice(remove_exports, effects=Export.objects.count) == 1


@pytest.mark.task("app.tasks.cleanup_tasks.remove_mailings", "execution")
def test_remove_mailings_returns_how_many(tasks: TaskTester) -> None:
    MailDeliveryFactory.create(mailing__finished_at=LONG_AGO)

    assert tasks.run(remove_mailings).result == 1


@pytest.mark.task("app.tasks.cleanup_tasks.remove_mailings", "idempotency")
def test_remove_mailings_executed_twice_removes_no_more(tasks: TaskTester) -> None:
    MailDeliveryFactory.create(mailing__finished_at=LONG_AGO)
    MailDeliveryFactory.create(mailing__finished_at=timezone.now())

    assert tasks.twice(remove_mailings, effects=MailDelivery.objects.count) == 1


REPORTS = pytest.mark.task("app.tasks.cleanup_tasks.remove_reports", "failure", "retry")
EXPORTS = pytest.mark.task("app.tasks.cleanup_tasks.remove_exports", "failure", "retry")
MAILINGS = pytest.mark.task(
    "app.tasks.cleanup_tasks.remove_mailings", "failure", "retry"
)


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(remove_reports, marks=REPORTS),
        pytest.param(remove_exports, marks=EXPORTS),
        pytest.param(remove_mailings, marks=MAILINGS),
    ],
)
def test_removal_is_retried_and_gives_up_when_the_database_stays_away(
    task: DurableTask[[], int], tasks: TaskTester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, task.name.rpartition(".")[2], locked)

    run = tasks.run(task)

    assert isinstance(run.error, OperationalError)
    assert run.retry_delays == [1, 2, 4, 8, 16]
