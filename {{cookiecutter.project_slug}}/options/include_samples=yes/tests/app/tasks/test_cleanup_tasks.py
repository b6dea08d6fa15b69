"""The tasks of the cleanup domain, run in this process."""

from datetime import timedelta
from pathlib import Path

import pytest
from celery import Task
from django.utils import timezone
from pytest_django import Settings

from app.services import cleanup
from app.tasks.cleanup_tasks import remove_exports, remove_mailings, remove_reports
from tests.factories.email import MailDeliveryFactory
from tests.factories.export import ExportFactory
from tests.factories.imports import ReportFactory
from tests.harness.retries import delays, locked, locked_once

pytestmark = pytest.mark.django_db

LONG_AGO = timezone.now() - timedelta(days=400)


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def test_remove_reports_returns_how_many_and_a_second_run_none() -> None:
    ReportFactory.create_batch(2, finished_at=LONG_AGO)

    assert [remove_reports.apply().get() for _ in range(2)] == [2, 0]


def test_remove_exports_returns_how_many_and_a_second_run_none() -> None:
    ExportFactory.create(finished_at=LONG_AGO)

    assert [remove_exports.apply().get() for _ in range(2)] == [1, 0]


def test_remove_mailings_returns_how_many_and_a_second_run_none() -> None:
    MailDeliveryFactory.create(mailing__finished_at=LONG_AGO)

    assert [remove_mailings.apply().get() for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("task", [remove_reports, remove_exports, remove_mailings])
def test_retry_while_the_database_is_away(
    task: Task[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = task.name.rpartition(".")[2]
    monkeypatch.setattr(cleanup, name, locked_once(getattr(cleanup, name)))

    assert task.apply().get() == 0


@pytest.mark.parametrize("task", [remove_reports, remove_exports, remove_mailings])
def test_retry_waits_longer_after_every_attempt(
    task: Task[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, task.name.rpartition(".")[2], locked)

    assert delays(task, monkeypatch=monkeypatch) == [1, 2, 4, 8]
