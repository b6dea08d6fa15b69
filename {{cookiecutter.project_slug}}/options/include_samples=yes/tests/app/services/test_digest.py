"""The weekly digest of flaky tests."""

from datetime import date, datetime

import pytest
from django.utils import timezone

from app.models import Mailing, Report
from app.services import digest
from config.env import env
from tests.factories.imports import CaseResultFactory, ReportFactory

pytestmark = pytest.mark.django_db

MONDAY, SUNDAY = date(2026, 3, 23), date(2026, 3, 29)


@pytest.fixture(autouse=True)
def _recipients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "DIGEST_RECIPIENTS", ["team@example.org"])


def write(today: date) -> Mailing:
    mailing = digest.create(today)
    assert mailing is not None
    return mailing


def test_digest_names_the_flaky_tests_of_the_week_before() -> None:
    for outcome in ("passed", "failed"):
        report = ReportFactory.create(state=Report.State.DONE)
        arrived = timezone.make_aware(datetime(2026, 3, 18))
        Report.objects.filter(pk=report.pk).update(created_at=arrived)
        CaseResultFactory.create(report=report, name="wobbly", outcome=outcome)

    mailing = write(MONDAY)

    assert mailing.subject == "Flaky tests from 16 Mar to 22 Mar 2026"
    assert "wobbly: passed 1, failed 1" in mailing.body
    assert mailing.deliveries.get().recipient == "team@example.org"


def test_digest_of_a_week_without_flaky_tests_says_so() -> None:
    assert "None." in write(MONDAY).body


def test_every_day_of_a_week_has_the_same_digest_and_the_next_week_another() -> None:
    assert write(MONDAY) == write(SUNDAY) != write(date(2026, 3, 30))


def test_nobody_to_mail_means_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "DIGEST_RECIPIENTS", [])

    assert digest.create(MONDAY) is None
    assert not Mailing.objects.exists()
