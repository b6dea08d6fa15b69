"""Taking reports in."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from threading import Barrier

import pytest
from django.conf import settings
from django.db import IntegrityError, connections

from app.models import Report
from app.services import imports
from config.env import env
from tests import reports
from tests.factories.imports import ReportFactory

State = Report.State

pytestmark = pytest.mark.django_db


def stored_files() -> int:
    folder = settings.MEDIA_ROOT / "reports"
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_report_is_stored_whole_and_pending() -> None:
    content = reports.path("pytest").read_bytes()

    report = imports.store(BytesIO(content), name="junit.xml")

    assert (report.state, report.name) == (State.PENDING, "junit.xml")
    with report.upload.open("rb") as file:
        assert (report.size, file.read()) == (len(content), content)


def test_report_sent_twice_is_one_report_with_one_file() -> None:
    first = imports.store(reports.report(reports.case("a")), name="a.xml")
    files = stored_files()

    second = imports.store(reports.report(reports.case("a")), name="renamed.xml")

    assert second.pk == first.pk
    assert second.name == "a.xml"
    assert stored_files() == files
    assert Report.objects.count() == 1


def test_other_bytes_are_another_report() -> None:
    first = imports.store(reports.report(reports.case("a")), name="a.xml")
    second = imports.store(reports.report(reports.case("b")), name="a.xml")

    assert first.pk != second.pk


@pytest.mark.django_db(transaction=True)
def test_report_sent_by_many_at_the_same_time_is_one_report() -> None:
    senders = 4
    together = Barrier(senders)
    files = stored_files()

    def send() -> int:
        together.wait()
        try:
            return imports.store(reports.report(*reports.passing(50)), name="a.xml").pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(senders) as pool:
        futures = [pool.submit(send) for _ in range(senders)]
        keys = {future.result() for future in futures}

    assert len(keys) == Report.objects.count() == 1
    assert stored_files() == files + 1


def test_database_refuses_a_second_row_for_the_same_bytes() -> None:
    report = ReportFactory.create()

    with pytest.raises(IntegrityError):
        ReportFactory.create(digest=report.digest)


def test_failed_report_that_is_sent_again_becomes_pending() -> None:
    content = reports.report(reports.case()).getvalue()
    failed = imports.store(BytesIO(content), name="a.xml")
    imports.fail(failed.pk, "the disk was full")

    again = imports.store(BytesIO(content), name="a.xml")

    assert (again.pk, again.state, again.error) == (failed.pk, State.PENDING, "")


def test_done_report_that_is_sent_again_stays_done() -> None:
    done = imports.store(reports.report(reports.case()), name="a.xml")
    Report.objects.update(state=State.DONE)

    again = imports.store(reports.report(reports.case()), name="a.xml")

    assert (again.pk, again.state) == (done.pk, State.DONE)


def test_report_at_the_size_limit_is_accepted_and_one_byte_more_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(env, "IMPORT_MAX_MEGABYTES", 1)
    largest = b"<testsuite/>".ljust(imports.max_bytes())

    assert imports.store(BytesIO(largest), name="a.xml").size == imports.max_bytes()
    with pytest.raises(imports.UploadTooLarge, match="1,000,001 bytes; at most 1 MB"):
        imports.store(BytesIO(largest + b" "), name="b.xml")


@pytest.mark.parametrize("content", [b"", b"no xml", b"<html/>"])
def test_file_that_is_no_report_leaves_nothing_behind(content: bytes) -> None:
    files = stored_files()

    with pytest.raises(imports.InvalidReport):
        imports.store(BytesIO(content), name="a.xml")

    assert stored_files() == files
    assert not Report.objects.exists()


def test_name_is_cut_to_what_the_database_takes() -> None:
    report = imports.store(reports.report(), name="n" * 999)

    report.refresh_from_db()
    assert len(report.name) == 255
