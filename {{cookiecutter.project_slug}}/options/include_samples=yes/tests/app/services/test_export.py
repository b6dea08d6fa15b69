"""Exports, written to a real directory."""

import csv
import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from django.core.files.storage import default_storage
from pytest_django import Settings

from app.models import CaseResult, Export, Report
from app.services import export as exports
from app.services.progress import Progress
from tests.factories.export import ExportFactory
from tests.factories.imports import CaseResultFactory, ReportFactory

pytestmark = pytest.mark.django_db

State = Export.State


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def stored_files() -> list[str]:
    if not default_storage.exists("exports"):
        return []
    return default_storage.listdir("exports")[1]


def rows_of(export: Export) -> list[dict[str, str]]:
    export.refresh_from_db()
    with export.file.open("rb") as file:
        return list(csv.DictReader(io.StringIO(file.read().decode())))


def interrupted_after(rows: int, error: BaseException) -> Progress:
    """Return a progress callback that raises once so many rows are written."""

    def interrupt(current: int, total: int) -> None:
        if current >= rows:
            raise error

    return interrupt


def test_export_has_one_row_per_case_in_the_order_of_the_report() -> None:
    export = ExportFactory.create()
    for position, name in ((2, "second"), (1, "first")):
        CaseResultFactory.create(report=export.report, position=position, name=name)
    CaseResultFactory.create()  # of another report

    exports.run(export.pk)

    rows = rows_of(export)
    assert [row["name"] for row in rows] == ["first", "second"]
    assert rows[0]["outcome"] == "passed"
    assert (export.state, export.rows) == (State.DONE, 2)


def test_export_of_an_outcome_has_only_these_cases() -> None:
    export = ExportFactory.create(outcome="failed")
    CaseResultFactory.create(report=export.report)
    CaseResultFactory.create(report=export.report, outcome="failed", name="broken")

    exports.run(export.pk)

    assert [row["name"] for row in rows_of(export)] == ["broken"]


def test_case_named_like_a_formula_is_made_harmless() -> None:
    export = ExportFactory.create()
    CaseResultFactory.create(report=export.report, name="=HYPERLINK(1)")

    exports.run(export.pk)

    assert rows_of(export)[0]["name"] == "'=HYPERLINK(1)"


def test_large_export_is_never_in_memory_as_a_whole() -> None:
    export = ExportFactory.create()
    CaseResult.objects.bulk_create(
        CaseResult(
            report=export.report, position=position, name="n", message="m" * 10_000
        )
        for position in range(3000)
    )

    tracemalloc.start()
    exports.run(export.pk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    export.refresh_from_db()
    assert export.file.size > 30_000_000
    assert peak < 10_000_000


def test_progress_counts_the_rows() -> None:
    export = ExportFactory.create()
    CaseResultFactory.create_batch(3, report=export.report)
    progress: list[tuple[int, int]] = []

    exports.run(
        export.pk,
        on_progress=lambda current, total: progress.append((current, total)),
    )

    assert progress == [(3, 3)]


def test_export_that_is_done_is_not_written_again() -> None:
    export = ExportFactory.create()

    first = exports.run(export.pk).file.name
    second = exports.run(export.pk).file.name

    assert first == second
    assert len(stored_files()) == 1


def test_interrupted_export_leaves_no_file() -> None:
    export = ExportFactory.create()
    CaseResultFactory.create_batch(2, report=export.report)

    with pytest.raises(KeyboardInterrupt):
        exports.run(export.pk, on_progress=interrupted_after(2, KeyboardInterrupt()))

    assert stored_files() == []


def test_file_of_an_attempt_that_died_is_removed_by_the_next_one() -> None:
    export = ExportFactory.create(state=State.RUNNING, file="exports/half.csv")
    default_storage.save("exports/half.csv", io.BytesIO(b"position,su"))

    exports.run(export.pk)

    export.refresh_from_db()
    assert [export.file.name] == [f"exports/{name}" for name in stored_files()]


def test_of_two_attempts_at_once_one_file_remains() -> None:
    export = ExportFactory.create()
    CaseResultFactory.create(report=export.report)
    overtaken: Iterator[None] = iter([None])

    def overtake(current: int, total: int) -> None:
        for _ in overtaken:
            exports.run(export.pk)

    with pytest.raises(exports.StorageUnavailable):
        exports.run(export.pk, on_progress=overtake)
    exports.run(export.pk)

    assert len(rows_of(export)) == 1
    assert [export.file.name] == [f"exports/{name}" for name in stored_files()]


def test_attempt_that_was_overtaken_does_not_end_the_export(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export = ExportFactory.create()
    save = default_storage.save

    def save_and_lose(name: str, content: IO[bytes]) -> str:
        saved = save(name, content)
        Export.objects.filter(pk=export.pk).update(file="exports/newer.csv")
        return saved

    monkeypatch.setattr(default_storage, "save", save_and_lose)

    assert exports.run(export.pk).state == State.RUNNING
    assert stored_files() == []


def test_storage_that_is_full_is_worth_another_attempt() -> None:
    export = ExportFactory.create()
    CaseResultFactory.create(report=export.report)
    full = OSError("no space left on device")

    with pytest.raises(exports.StorageUnavailable, match="no space left"):
        exports.run(export.pk, on_progress=interrupted_after(1, full))

    assert stored_files() == []


def test_same_selection_is_the_same_export() -> None:
    report = ReportFactory.create(state=Report.State.DONE)

    first, second, failed = (
        exports.request(report.pk, outcome) for outcome in ("", "", "failed")
    )

    assert first == second != failed


def test_failed_export_starts_again_when_asked_for_again() -> None:
    export = ExportFactory.create()
    exports.give_up(export.pk, reason="disk full")
    export.refresh_from_db()
    assert (export.state, export.error) == (State.FAILED, "disk full")

    again = exports.request(export.report_id)

    assert (again.pk, again.state, again.error) == (export.pk, State.PENDING, "")


def test_giving_up_leaves_an_export_that_is_done() -> None:
    export = ExportFactory.create(state=State.DONE)

    exports.give_up(export.pk, reason="too late")

    export.refresh_from_db()
    assert export.state == State.DONE


def test_report_that_is_not_imported_cannot_be_exported() -> None:
    report = ReportFactory.create()

    with pytest.raises(exports.InvalidExport, match="expected one that is imported"):
        exports.request(report.pk)


def test_unknown_outcome_is_refused() -> None:
    with pytest.raises(exports.InvalidExport, match="expected one of passed, failed"):
        exports.request(1, "exploded")
