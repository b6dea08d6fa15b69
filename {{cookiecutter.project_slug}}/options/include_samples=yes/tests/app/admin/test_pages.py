"""The admin pages."""

from datetime import date

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from app.models import MailDelivery, MonthlyTotal, UserPreferences
from tests.factories.email import MailDeliveryFactory
from tests.factories.export import ExportFactory

pytestmark = pytest.mark.django_db

State = MailDelivery.State


@pytest.fixture
def _one_row_each(admin_user: User) -> None:
    ExportFactory.create()
    MailDeliveryFactory.create(state=State.UNCERTAIN)
    UserPreferences.objects.create(user=admin_user, time_zone="UTC")
    MonthlyTotal.objects.create(
        month=date(2026, 3, 1),
        reports=1,
        passed=1,
        failed=0,
        errored=0,
        skipped=0,
        seconds=0.1,
    )


@pytest.mark.usefixtures("_one_row_each")
@pytest.mark.parametrize(
    "model", ["export", "mailing", "maildelivery", "userpreferences", "monthlytotal"]
)
def test_list_can_be_opened_and_searched(admin_client: Client, model: str) -> None:
    assert admin_client.get(f"/admin/app/{model}/").status_code == 200
    assert admin_client.get(f"/admin/app/{model}/?q=a").status_code == 200


def test_person_can_have_uncertain_deliveries_sent_again(
    admin_client: Client,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    delivery = MailDeliveryFactory.create(state=State.UNCERTAIN)
    form = {"action": "send_uncertain_again", "_selected_action": delivery.mailing_id}

    with django_capture_on_commit_callbacks() as callbacks:
        admin_client.post("/admin/app/mailing/", form)

    delivery.refresh_from_db()
    assert delivery.state == State.PENDING
    assert len(callbacks) == 1
