"""The ledger in one process: an in-memory broker, and a worker without processes.

Every test runs with the table of legal moves installed as a trigger in the database.
"""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from config.celery import app
from ledger.models import ChordRun, TaskRun
from ledger.schedule import LedgerScheduler
from ledger.states import FINAL
from tests.harness.inline import InlineWorker
from tests.harness.legal_moves import enforced


@pytest.fixture(autouse=True)
def _only_legal_moves(transactional_db: None) -> Iterator[None]:
    with enforced(connection):
        yield


@pytest.fixture(autouse=True)
def worker(inline_worker: InlineWorker) -> InlineWorker:
    """A worker that executes in this process what the broker has for it."""
    return inline_worker


@pytest.fixture
def app_setting(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, object], None]:
    """Change a setting of the Celery app for one test."""

    def change(name: str, value: object) -> None:
        monkeypatch.setitem(app.conf, name, value)

    return change


@pytest.fixture
def every_row_ends(worker: InlineWorker) -> Iterator[None]:
    """Execute what a test has left, and check that all of it ends."""
    yield
    worker.drain()
    unended = TaskRun.objects.exclude(state__in=FINAL)
    assert not list(unended.values_list("name", "state"))
    assert not ChordRun.objects.exists()


@pytest.fixture
def beat(app_setting: Callable[[str, object], None]) -> LedgerScheduler:
    """A beat of a project without a schedule in its code."""
    app_setting("beat_schedule", {})
    return LedgerScheduler(app=app)
