"""The tasks of the export domain."""

from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core.files.storage import default_storage
from pytest import MonkeyPatch
from pytest_django import Settings

from app.models import Export
from app.services import export as service
from app.tasks.export_tasks import write_export
from tests.factories.export import ExportFactory
from tests.factories.imports import CaseResultFactory
from tests.helpers.tester import TaskTester

State = Export.State


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def storage_is_away(monkeypatch: MonkeyPatch, times: int = 1_000) -> None:
    """Let the storage fail so often before it works."""
    failures = iter([OSError("away")] * times)
    save = default_storage.save

    def failing(*args: Any) -> str:
        for failure in failures:
            raise failure
        return save(*args)

    monkeypatch.setattr(default_storage, "save", failing)


@pytest.mark.task("app.tasks.export_tasks.write_export", "execution")
def test_execution_writes_the_file_and_returns_the_state(
    tasks: TaskTester, tmp_path: Path
) -> None:
    export = ExportFactory.create()

    assert tasks.run(write_export, export.pk).result == State.DONE
    assert len([*tmp_path.rglob("*.csv")]) == 1


@pytest.mark.task("app.tasks.export_tasks.write_export", "retry")
def test_retry_writes_the_file_when_the_storage_is_well_again(
    tasks: TaskTester, monkeypatch: MonkeyPatch
) -> None:
    export = ExportFactory.create()
    storage_is_away(monkeypatch, times=4)

    run = tasks.run(write_export, export.pk)

    assert run.result == State.DONE
    assert run.retry_delays == [1, 2, 4, 8]


@pytest.mark.task("app.tasks.export_tasks.write_export", "failure", "retry")
def test_failure_of_the_last_attempt_is_recorded(
    tasks: TaskTester, monkeypatch: MonkeyPatch
) -> None:
    export = ExportFactory.create()
    storage_is_away(monkeypatch)

    run = tasks.run(write_export, export.pk)

    export.refresh_from_db()
    assert isinstance(run.error, service.StorageUnavailable)
    assert (export.state, export.error) == (State.FAILED, "OSError: away")


@pytest.mark.task("app.tasks.export_tasks.write_export", "failure")
def test_soft_time_limit_removes_the_partial_file_and_fails_the_export(
    tasks: TaskTester, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    export = ExportFactory.create()
    CaseResultFactory.create(report=export.report)

    def interrupted(**state: object) -> None:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(write_export, "update_state", interrupted)

    run = tasks.run(write_export, export.pk)

    export.refresh_from_db()
    assert isinstance(run.error, SoftTimeLimitExceeded)
    assert (export.state, export.error) == (State.FAILED, "soft time limit exceeded")
    assert not [*tmp_path.rglob("*.csv")]


@pytest.mark.task("app.tasks.export_tasks.write_export", "progress")
def test_progress_is_visible_in_the_state_of_the_task(tasks: TaskTester) -> None:
    export = ExportFactory.create()
    CaseResultFactory.create_batch(2, report=export.report)

    run = tasks.run(write_export, export.pk)

    assert run.progress == [{"current": 2, "total": 2}]


@pytest.mark.task("app.tasks.export_tasks.write_export", "idempotency")
def test_idempotency_a_run_executed_twice_writes_one_file(
    tasks: TaskTester, tmp_path: Path
) -> None:
    export = ExportFactory.create()

    def files() -> list[Path]:
        return [*tmp_path.rglob("*.csv")]

    assert len(tasks.twice(write_export, export.pk, effects=files)) == 1
