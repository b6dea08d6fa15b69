"""The tasks of the export domain, run in this process."""

from pathlib import Path
from typing import IO

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.core.files.storage import default_storage
from pytest import MonkeyPatch
from pytest_django import Settings

from app.models import Export
from app.tasks.export_tasks import write_export
from tests.factories.export import ExportFactory
from tests.factories.imports import CaseResultFactory
from tests.harness.retries import delays

pytestmark = pytest.mark.django_db

State = Export.State


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path


def fail_with(error: Exception, monkeypatch: MonkeyPatch, times: int = 1_000) -> None:
    """Let the storage fail so often before it works."""
    failures = iter([error] * times)
    save = default_storage.save

    def failing(name: str, content: IO[bytes]) -> str:
        for failure in failures:
            raise failure
        return save(name, content)

    monkeypatch.setattr(default_storage, "save", failing)


def test_execution_writes_the_file_and_returns_the_state() -> None:
    export = ExportFactory.create()

    assert write_export.apply(args=(export.pk,)).get() == State.DONE


def test_retry_writes_the_file_when_the_storage_is_well_again(
    monkeypatch: MonkeyPatch,
) -> None:
    export = ExportFactory.create()
    fail_with(OSError("away"), monkeypatch, times=2)

    assert write_export.apply(args=(export.pk,)).get() == State.DONE


def test_retry_waits_longer_after_every_attempt(monkeypatch: MonkeyPatch) -> None:
    export = ExportFactory.create()
    fail_with(OSError("away"), monkeypatch)

    waited = delays(write_export, export.pk, monkeypatch=monkeypatch)

    assert waited == [1, 2, 4, 8]


def test_failure_of_the_last_attempt_is_recorded(monkeypatch: MonkeyPatch) -> None:
    export = ExportFactory.create()
    fail_with(OSError("away"), monkeypatch)

    write_export.apply(args=(export.pk,))

    export.refresh_from_db()
    assert (export.state, export.error) == (State.FAILED, "OSError: away")


def test_soft_time_limit_removes_the_partial_file_and_fails_the_export(
    tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    export = ExportFactory.create()
    CaseResultFactory.create(report=export.report)

    def interrupted(**state: object) -> None:
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(write_export, "update_state", interrupted)

    result = write_export.apply(args=(export.pk,))

    export.refresh_from_db()
    assert isinstance(result.result, SoftTimeLimitExceeded)
    assert (export.state, export.error) == (State.FAILED, "soft time limit exceeded")
    assert not [*tmp_path.rglob("*.csv")]


def test_progress_is_visible_in_the_state_of_the_task(
    monkeypatch: MonkeyPatch,
) -> None:
    export = ExportFactory.create()
    CaseResultFactory.create_batch(2, report=export.report)
    seen = []
    monkeypatch.setattr(write_export, "update_state", lambda **new: seen.append(new))

    write_export.apply(args=(export.pk,))

    assert seen == [{"state": "PROGRESS", "meta": {"current": 2, "total": 2}}]


def test_idempotency_a_message_delivered_twice_writes_one_file(tmp_path: Path) -> None:
    export = ExportFactory.create()

    write_export.apply(args=(export.pk,))
    write_export.apply(args=(export.pk,))

    assert len([*tmp_path.rglob("*.csv")]) == 1
