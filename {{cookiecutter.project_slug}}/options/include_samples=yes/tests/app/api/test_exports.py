"""Exports over HTTP."""

from pathlib import Path

import pytest
from django.test import Client
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from app.models import Export, Report
from app.services import export as exports
from app.tasks.export_tasks import write_export
from tests.factories.export import ExportFactory
from tests.factories.imports import CaseResultFactory, ReportFactory
from tests.helpers.tester import TaskTester

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def test_accepted_export_is_enqueued_only_after_the_commit(
    api: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    report = ReportFactory.create(state=Report.State.DONE)
    body = {"report": report.pk, "outcome": "failed"}

    with django_capture_on_commit_callbacks() as callbacks:
        response = api.post("/api/exports", body, content_type="application/json")

    assert response.status_code == 202
    assert response.json()["state"] == "pending"
    assert len(callbacks) == 1


def test_export_that_is_done_is_not_enqueued_again(
    api: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    export = ExportFactory.create(state=Export.State.DONE)
    body = {"report": export.report_id}

    with django_capture_on_commit_callbacks() as callbacks:
        response = api.post("/api/exports", body, content_type="application/json")

    assert response.json()["id"] == export.pk
    assert callbacks == []


def test_export_whose_worker_died_is_written_when_somebody_asks_again(
    api: Client, tasks: TaskTester
) -> None:
    export = ExportFactory.create(state=Export.State.RUNNING, file="exports/half.csv")

    response = api.post(
        "/api/exports", {"report": export.report_id}, content_type="application/json"
    )
    tasks.drain()

    export.refresh_from_db()
    assert (response.status_code, export.state) == (202, Export.State.DONE)


def test_export_that_is_being_written_is_not_started_beside_itself(
    api: Client, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    export = ExportFactory.create(state=Export.State.RUNNING)
    active = write_export.delay(export.pk)

    with django_capture_on_commit_callbacks() as callbacks:
        response = api.post(
            "/api/exports",
            {"report": export.report_id},
            content_type="application/json",
        )

    assert (response.status_code, callbacks) == (202, [])
    assert write_export.delay(export.pk).id == active.id


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("not json", "expected JSON with a report's id"),
        ("[]", "expected JSON with a report's id"),
        ('{"report": "x"}', "expected JSON with a report's id"),
        ('{"report": 404}', "expected one that is imported"),
        ('{"report": 1, "outcome": "exploded"}', "expected one of passed"),
    ],
)
def test_bad_body_is_refused_with_what_is_accepted(
    api: Client, body: str, error: str
) -> None:
    response = api.post("/api/exports", body, content_type="application/json")

    assert response.status_code == 400
    assert error in response.json()["error"]


def test_file_of_an_export_that_is_done_can_be_downloaded(api: Client) -> None:
    export = ExportFactory.create()
    CaseResultFactory.create(report=export.report, name="test_one")
    exports.run(export.pk)

    response = api.get(f"/api/exports/{export.pk}/file")

    assert b"test_one" in response.getvalue()
    assert response["Content-Type"].startswith("text/csv")


def test_file_of_an_export_that_runs_is_not_given_out(api: Client) -> None:
    export = ExportFactory.create(state="running", file="exports/half.csv")

    response = api.get(f"/api/exports/{export.pk}/file")

    assert (response.status_code, response.json()) == (
        409,
        {"error": "the export is running"},
    )


def test_export_can_be_looked_up(api: Client) -> None:
    export = ExportFactory.create(state="failed", error="disk full")

    assert api.get(f"/api/exports/{export.pk}").json()["error"] == "disk full"
    assert api.get("/api/exports/404").status_code == 404


def test_request_without_the_token_is_refused(client: Client) -> None:
    assert client.get("/api/exports/1/file").status_code == 401
