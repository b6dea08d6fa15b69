"""The admin pages of the imported reports."""

import pytest
from django.core.files.storage import default_storage
from django.test import Client

from app.models import CaseResult, RejectedCase, Report
from app.services import imports
from tests.factories.imports import CaseResultFactory, ReportFactory

pytestmark = pytest.mark.django_db

Outcome = CaseResult.Outcome

LIST = "/admin/app/report/"


@pytest.fixture
def report() -> Report:
    """A report that is done: 3 passed, 1 failed."""
    report = ReportFactory.create(total_chunks=0)
    CaseResultFactory.create_batch(3, report=report)
    CaseResultFactory.create(
        report=report, outcome=Outcome.FAILED, name="<b>x</b>", message="<script>"
    )
    RejectedCase.objects.create(report=report, position=9, reason="it has no name")
    imports.begin(report.pk)
    imports.summarise(report.pk)
    return report


def test_list_draws_the_outcome_as_a_bar(admin_client: Client, report: Report) -> None:
    page = admin_client.get(LIST).content.decode()

    assert "<title>3 passed, 1 failed, 0 errored, 0 skipped</title>" in page
    assert '<rect x="0.00" width="120.00" height="12" fill="#2e7d32"/>' in page
    assert '<rect x="120.00" width="40.00" height="12" fill="#c62828"/>' in page


def test_page_says_what_happened_and_escapes_what_the_report_says(
    admin_client: Client, report: Report
) -> None:
    page = admin_client.get(f"{LIST}{report.pk}/change/").content.decode()

    assert "4 cases: 3 passed, 1 failed, 0 errored, 0 skipped; 1 rejected" in page
    assert "it has no name" in page
    assert "&lt;script&gt;" in page
    assert "<b>x</b>" not in page


def test_report_that_is_not_done_has_no_bar(admin_client: Client) -> None:
    report = ReportFactory.create(state=Report.State.FAILED, error="disk full")

    page = admin_client.get(f"{LIST}{report.pk}/change/").content.decode()

    assert "disk full" in page
    assert "<title>0 passed" not in page


@pytest.mark.parametrize(("flaky", "shown"), [(True, 1), (False, 0)])
def test_case_is_called_flaky_only_if_it_is(
    admin_client: Client, flaky: bool, shown: int
) -> None:
    case = CaseResultFactory.create(flaky=flaky)

    listed = admin_client.get("/admin/app/caseresult/").content.decode()
    page = admin_client.get(f"/admin/app/caseresult/{case.pk}/change/").content.decode()

    assert listed.count('class="field-flakiness">flaky<') == shown
    assert page.count('<div class="readonly">flaky</div>') == shown
    assert "icon-yes" not in listed + page
    assert "icon-no" not in listed + page


@pytest.mark.parametrize("name", ["report", "caseresult", "rejectedcase"])
def test_nobody_adds_or_changes_what_the_import_wrote(
    admin_client: Client, report: Report, name: str
) -> None:
    listed = admin_client.get(f"/admin/app/{name}/")
    added = admin_client.get(f"/admin/app/{name}/add/")

    assert (listed.status_code, added.status_code) == (200, 403)


@pytest.mark.parametrize("from_list", [True, False])
def test_deleted_report_takes_its_file_along(
    admin_client: Client, report: Report, from_list: bool
) -> None:
    confirmation = {"post": "yes"}

    if from_list:
        selection = {"action": "delete_selected", "_selected_action": str(report.pk)}
        admin_client.post(LIST, selection | confirmation)
    else:
        admin_client.post(f"{LIST}{report.pk}/delete/", confirmation)

    assert not Report.objects.exists()
    assert not default_storage.exists(report.upload.name or "")
