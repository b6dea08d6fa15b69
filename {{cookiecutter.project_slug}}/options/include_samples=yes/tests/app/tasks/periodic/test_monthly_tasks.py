"""Monthly tasks."""

from datetime import timedelta

import pytest
from django.utils import timezone

from app.models import MonthlyTotal, Report
from app.tasks.periodic.monthly_tasks import archive_last_month
from tests.factories.imports import CaseResultFactory, ReportFactory

pytestmark = pytest.mark.django_db


def test_archive_of_last_month_is_written_once() -> None:
    report = ReportFactory.create(state=Report.State.DONE)
    CaseResultFactory.create(report=report)
    last_month = timezone.localtime().replace(day=1) - timedelta(days=1)
    Report.objects.update(created_at=last_month)

    first = archive_last_month.apply().get()
    Report.objects.all().delete()
    second = archive_last_month.apply().get()

    assert first == second == f"{last_month:%Y-%m}"
    assert MonthlyTotal.objects.get().passed == 1
