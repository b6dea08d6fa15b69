"""Test reports over HTTP."""

import time
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest
from django.test import Client

from app.api import reports as api_reports
from app.models import Report, ReportChunk
from app.services import imports
from app.workflows.data_pipeline import orchestrator
from config.env import NO_BROKER_URL, env
from ledger.models import TaskRun
from tests import reports
from tests.factories.imports import ReportChunkFactory, ReportFactory
from tests.harness.broker import publishing_to
from tests.helpers.tester import TaskTester

pytestmark = pytest.mark.django_db

State = Report.State


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the reports whose import was started."""
    ids: list[int] = []
    monkeypatch.setattr(orchestrator, "start", ids.append)
    return ids


def post(api: Client, content: bytes, name: str = "junit.xml") -> Any:
    return api.post("/api/reports", {"report": SimpleUploadedFile(name, content)})


@pytest.mark.parametrize("path", ["/api/reports", "/api/reports/1"])
def test_request_without_the_token_is_refused(client: Client, path: str) -> None:
    assert client.get(path).status_code == 401


def test_report_is_accepted_and_started(api: Client, sent: list[int]) -> None:
    response = post(api, reports.path("pytest").read_bytes())

    report = Report.objects.get()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/reports/{report.pk}"
    assert (response.json()["id"], response.json()["state"]) == (report.pk, "pending")
    assert sent == [report.pk]


@pytest.mark.parametrize(
    ("state", "status", "starts"),
    [(State.PENDING, 202, 1), (State.RUNNING, 202, 1), (State.DONE, 200, 0)],
)
def test_report_sent_again_is_the_same_report(
    api: Client,
    sent: list[int],
    state: Report.State,
    status: int,
    starts: int,
) -> None:
    content = reports.report(reports.case()).getvalue()
    first = post(api, content).json()["id"]
    Report.objects.update(state=state)

    response = post(api, content, name="renamed.xml")

    assert (response.status_code, response.json()["id"]) == (status, first)
    assert sent == [first] * (1 + starts)


def test_report_that_failed_is_tried_again_when_it_is_sent_again(
    api: Client,
    sent: list[int],
) -> None:
    content = reports.report(reports.case()).getvalue()
    first = post(api, content).json()["id"]
    imports.fail(first, "disk full")

    response = post(api, content)

    assert (response.status_code, response.json()["state"]) == (202, "pending")
    assert sent == [first, first]


def test_import_whose_worker_died_goes_on_when_the_report_is_sent_again(
    api: Client, tasks: TaskTester
) -> None:
    upload = reports.report(*reports.passing(3))
    report = imports.store(upload, name="junit.xml")
    Report.objects.update(state=State.RUNNING)

    response = post(api, upload.getvalue())
    tasks.drain()

    report.refresh_from_db()
    assert (response.status_code, report.state) == (202, State.DONE)
    assert report.results.count() == 3


def test_import_that_is_under_way_is_not_started_beside_itself(api: Client) -> None:
    content = reports.report(*reports.passing(3)).getvalue()

    for state in (State.PENDING, State.RUNNING):
        Report.objects.update(state=state)
        post(api, content)

    assert TaskRun.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_broker_that_is_down_neither_loses_the_report_nor_holds_up_its_sender(
    api: Client,
) -> None:
    content = reports.report(reports.case()).getvalue()
    began = time.monotonic()

    with publishing_to(NO_BROKER_URL):
        response = post(api, content)

    assert response.status_code == 202
    assert time.monotonic() - began < 10
    assert Report.objects.get().state == State.PENDING
    assert TaskRun.objects.waiting().get().args == f"[{response.json()['id']}]"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "the file is empty"),
        (b"<html/>", "root element is <html>"),
        (b"name,outcome\n", "not well-formed XML"),
        (b"<!DOCTYPE x [<!ENTITY e 'e'>]><testsuite/>", "an entity is declared"),
    ],
)
def test_file_that_is_no_report_is_refused_with_the_reason(
    api: Client, content: bytes, error: str
) -> None:
    response = post(api, content)

    assert response.status_code == 400
    assert error in response.json()["error"]
    assert not Report.objects.exists()


def test_request_without_the_file_is_refused_with_what_is_expected(
    api: Client,
) -> None:
    other_field = api.post("/api/reports", {"file": SimpleUploadedFile("a", b"a")})
    no_form = api.post("/api/reports", "<testsuite/>", content_type="text/xml")
    broken_form = api.post("/api/reports", b"", content_type="multipart/form-data")

    for response in (other_field, no_form, broken_form):
        assert response.status_code == 400
        assert "the field `report`" in response.json()["error"]


def test_report_that_is_too_large_is_refused(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "IMPORT_MAX_MEGABYTES", 1)

    response = post(api, b"<testsuite/>".ljust(1_000_001))

    assert response.status_code == 413
    assert "at most 1 MB are accepted" in response.json()["error"]


def test_body_that_is_far_too_large_is_refused_unread(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(request: object) -> None:
        raise AssertionError("the body was read")

    monkeypatch.setattr(env, "IMPORT_MAX_MEGABYTES", 1)
    monkeypatch.setattr(HttpRequest, "_load_post_and_files", unread)

    response = post(api, b"x" * (1_000_001 + api_reports.MULTIPART_BYTES))

    assert response.status_code == 413


def test_report_is_shown_with_its_progress(api: Client) -> None:
    report = ReportFactory.create(state=State.RUNNING, total_chunks=2)
    for number, state in enumerate(("loaded", "extracted"), start=1):
        ReportChunkFactory.create(
            report=report, number=number, state=ReportChunk.State(state)
        )

    shown = api.get(f"/api/reports/{report.pk}").json()

    assert (shown["state"], shown["summary"]) == ("running", None)
    assert shown["progress"] == {"done": 1, "total": 2}


def test_done_report_is_shown_with_its_summary(api: Client) -> None:
    report = ReportFactory.create(total_chunks=0)
    imports.begin(report.pk)
    imports.summarise(report.pk)

    shown = api.get(f"/api/reports/{report.pk}").json()

    assert shown["state"] == "done"
    assert shown["summary"]["cases"] == 0
    assert shown["finished_at"] is not None


def test_failed_report_is_shown_with_the_reason(api: Client) -> None:
    report = ReportFactory.create(state=State.FAILED, error="chunk 2: disk full")

    assert api.get(f"/api/reports/{report.pk}").json()["error"] == "chunk 2: disk full"


def test_unknown_report_is_not_found(api: Client) -> None:
    assert api.get("/api/reports/404").status_code == 404


def test_reports_are_listed_newest_first_in_pages(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_reports, "PAGE_SIZE", 2)
    keys = [report.pk for report in ReportFactory.create_batch(3)]

    first = api.get("/api/reports").json()
    second = api.get("/api/reports?page=2").json()

    assert [report["id"] for report in first["reports"]] == [keys[2], keys[1]]
    assert [report["id"] for report in second["reports"]] == [keys[0]]
    assert (second["page"], second["pages"]) == (2, 2)
