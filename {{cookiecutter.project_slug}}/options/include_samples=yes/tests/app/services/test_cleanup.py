"""Retention."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone
from pytest_django import Settings

from app.models import CaseResult, Export, MailDelivery, Mailing, Report
from app.services import cleanup, email
from tests.factories.email import MailDeliveryFactory, MailingFactory
from tests.factories.export import ExportFactory
from tests.factories.imports import CaseResultFactory, ReportFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def storage(settings: Settings, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "BATCH_SIZE", 2)


NOW = timezone.now()
LONG_AGO = NOW - timedelta(days=400)


def files(storage: Path) -> list[Path]:
    return [path for path in storage.rglob("*") if path.is_file()]


def test_old_reports_go_with_their_results_exports_and_files(storage: Path) -> None:
    report = ReportFactory.create(finished_at=LONG_AGO)
    CaseResultFactory.create_batch(5, report=report)
    ExportFactory.create(report=report, file=ContentFile(b"csv", name="a.csv"))
    assert len(files(storage)) == 2

    assert cleanup.remove_reports() == 1

    assert not Report.objects.exists()
    assert not CaseResult.objects.exists()
    assert files(storage) == []


@pytest.mark.parametrize("finished_at", [NOW, None])
def test_recent_and_unfinished_reports_stay(storage: Path, finished_at: object) -> None:
    ReportFactory.create(finished_at=finished_at)

    assert cleanup.remove_reports() == 0
    assert len(files(storage)) == 1


def test_old_exports_go_with_their_files_and_recent_ones_stay(storage: Path) -> None:
    for finished_at in (LONG_AGO, LONG_AGO, LONG_AGO, NOW, None):
        ExportFactory.create(
            finished_at=finished_at, file=ContentFile(b"csv", name="a.csv")
        )

    assert cleanup.remove_exports() == 3
    assert Export.objects.count() == 2
    assert len([*storage.rglob("*.csv")]) == 2


def test_export_whose_file_is_already_gone_is_removed() -> None:
    ExportFactory.create(finished_at=LONG_AGO, file="exports/gone.csv")

    assert cleanup.remove_exports() == 1


def test_old_mailings_go_with_their_deliveries_and_recent_ones_stay() -> None:
    old = MailingFactory.create(finished_at=LONG_AGO)
    MailDeliveryFactory.create_batch(5, mailing=old)
    recent = MailDeliveryFactory.create(mailing__finished_at=NOW)
    running = MailDeliveryFactory.create()

    assert cleanup.remove_mailings() == 5
    assert [*MailDelivery.objects.order_by("pk")] == [recent, running]
    assert Mailing.objects.count() == 2


def test_occasion_that_was_mailed_is_not_mailed_again_after_its_retention() -> None:
    mailing = email.create("Welcome", "Hello", ["ada@example.org"], key="welcome:7")
    Mailing.objects.filter(pk=mailing.pk).update(finished_at=LONG_AGO)

    cleanup.remove_mailings()
    again = email.create("Welcome", "Hello", ["ada@example.org"], key="welcome:7")

    assert (again.pk, again.body) == (mailing.pk, "")
    assert email.counts(again.pk)["total"] == 0


def test_second_run_finds_nothing() -> None:
    ExportFactory.create(finished_at=LONG_AGO)

    assert (cleanup.remove_exports(), cleanup.remove_exports()) == (1, 0)
