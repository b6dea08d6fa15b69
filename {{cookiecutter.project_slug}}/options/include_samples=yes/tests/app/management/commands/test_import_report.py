"""`manage.py import_report`."""

import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from app.models import CaseResult, Report
from app.services import imports
from app.services.imports import summary
from app.workflows.data_pipeline import orchestrator
from tests import reports

pytestmark = pytest.mark.django_db

LAST_LINE = r"imported 5 cases: 2 passed, 1 failed, 1 errored, 1 skipped in \d+\.\d s"


def import_at_once(report_id: int) -> None:
    """Do in this process what the workers do."""
    imports.begin(report_id)
    imports.extract(report_id)
    for number in imports.chunks_to_load(report_id):
        for stage in (imports.validate, imports.transform, imports.load):
            stage(report_id, number)
    imports.summarise(report_id)


@pytest.fixture
def working(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orchestrator, "start", import_at_once)


def run(path: Path | str, **options: object) -> None:
    call_command("import_report", str(path), **options)


@pytest.mark.usefixtures("working")
def test_summary_is_printed_and_its_last_line_has_the_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(reports.path("pytest"))

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Failures (2):"
    assert lines[1].endswith("[half-<50%>]: AssertionError: assert 50 == 51")
    assert "Slowest 5:" in lines
    assert re.fullmatch(LAST_LINE, lines[-1])


@pytest.mark.usefixtures("working")
def test_progress_is_drawn_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    run(reports.path("pytest"))

    assert "importing pytest.xml" in capsys.readouterr().err


@pytest.mark.usefixtures("working")
def test_rejected_cases_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "junit.xml"
    cases = [reports.case("good"), reports.case("odd", time="soon")]
    path.write_bytes(reports.report(*cases).getvalue())

    run(path)

    lines = capsys.readouterr().out.splitlines()
    assert "Rejected (1):" in lines
    assert any(line.startswith("  case 2  odd: time 'soon'") for line in lines)
    assert lines[-1].startswith("imported 1 cases: 1 passed,")


@pytest.mark.usefixtures("working")
def test_long_lists_say_how_many_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(summary, "MAX_LISTED", 1)

    run(reports.path("pytest"))

    assert "  … and 1 more" in capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("working")
def test_same_file_again_says_so_and_prints_the_same_summary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(reports.path("pytest"))
    first = capsys.readouterr().out

    run(reports.path("pytest"))

    assert capsys.readouterr().out == f"pytest.xml has been imported before.\n\n{first}"
    assert CaseResult.objects.count() == 5


def test_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="absent.xml cannot be read: No such file"):
        run(tmp_path / "absent.xml")


def test_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read: Is a directory"):
        run(tmp_path)


def test_file_that_is_no_report_is_an_error_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "page.xml"
    path.write_text("<html/>")

    with pytest.raises(CommandError, match="page.xml: not a JUnit report"):
        run(path)


def test_failed_import_is_an_error_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(report_id: int) -> None:
        imports.fail(report_id, "disk full", chunk=3)

    monkeypatch.setattr(orchestrator, "start", fail)

    with pytest.raises(CommandError, match="was not imported: chunk 3: disk full"):
        run(reports.path("pytest"))


def test_import_that_no_worker_begins_is_an_error_after_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(orchestrator, "start", lambda report_id: None)

    with pytest.raises(CommandError, match="after 0.1 s: no worker has begun it"):
        run(reports.path("pytest"), timeout=0.1)


def test_import_that_takes_too_long_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def half(report_id: int) -> None:
        imports.begin(report_id)
        imports.extract(report_id)

    monkeypatch.setattr(orchestrator, "start", half)

    with pytest.raises(CommandError, match="0 of 1 chunks are loaded; it goes on"):
        run(reports.path("pytest"), timeout=0.1)


@pytest.mark.usefixtures("working")
def test_command_that_is_run_again_imports_what_is_pending(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with reports.path("pytest").open("rb") as file:
        imports.store(file, name="pytest.xml")

    run(reports.path("pytest"))

    assert re.fullmatch(LAST_LINE, capsys.readouterr().out.splitlines()[-1])
