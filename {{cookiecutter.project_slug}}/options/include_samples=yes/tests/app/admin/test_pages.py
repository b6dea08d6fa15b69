"""The admin pages."""

from datetime import date

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks

from app.models import MailDelivery, MonthlyTotal, UserPreferences
from app.tasks.email_tasks import send_bulk
from ledger.models import TaskRun
from tests.factories.email import MailDeliveryFactory
from tests.factories.export import ExportFactory
from tests.factories.notification import WebhookDeliveryFactory

pytestmark = pytest.mark.django_db

State = MailDelivery.State


@pytest.fixture
def _one_row_each(admin_user: User) -> None:
    WebhookDeliveryFactory.create()
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


WRITTEN_BY_THE_SERVICE = [
    *("webhookdelivery", "export", "mailing", "maildelivery", "monthlytotal")
]


@pytest.mark.usefixtures("_one_row_each")
@pytest.mark.parametrize("model", [*WRITTEN_BY_THE_SERVICE, "userpreferences"])
def test_list_can_be_opened_and_searched(admin_client: Client, model: str) -> None:
    assert admin_client.get(f"/admin/app/{model}/").status_code == 200
    assert admin_client.get(f"/admin/app/{model}/?q=a").status_code == 200


@pytest.mark.usefixtures("_one_row_each")
@pytest.mark.parametrize("model", WRITTEN_BY_THE_SERVICE)
def test_what_the_service_writes_is_read_and_deleted_but_not_written_by_hand(
    admin_client: Client, model: str
) -> None:
    [row] = apps.get_model("app", model).objects.all()
    page = f"/admin/app/{model}/{row.pk}"

    assert admin_client.get(f"/admin/app/{model}/add/").status_code == 403
    assert admin_client.post(f"{page}/change/", {}).status_code == 403
    assert admin_client.get(f"{page}/change/").status_code == 200
    assert admin_client.get(f"{page}/delete/").status_code == 200


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


@pytest.mark.parametrize(("state", "runs"), [(State.UNCERTAIN, 2), (State.SENT, 1)])
def test_uncertain_deliveries_get_a_run_beside_the_one_that_may_have_passed_them(
    admin_client: Client, state: MailDelivery.State, runs: int
) -> None:
    delivery = MailDeliveryFactory.create(state=state)
    send_bulk.delay(delivery.mailing_id)
    form = {"action": "send_uncertain_again", "_selected_action": delivery.mailing_id}

    admin_client.post("/admin/app/mailing/", form)

    assert TaskRun.objects.count() == runs


def test_person_who_may_only_view_mailings_is_not_offered_to_send_again(
    client: Client,
) -> None:
    delivery = MailDeliveryFactory.create(state=State.UNCERTAIN)
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_mailing"))
    client.force_login(viewer)
    form = {"action": "send_uncertain_again", "_selected_action": delivery.mailing_id}

    client.post("/admin/app/mailing/", form)

    delivery.refresh_from_db()
    assert delivery.state == State.UNCERTAIN
