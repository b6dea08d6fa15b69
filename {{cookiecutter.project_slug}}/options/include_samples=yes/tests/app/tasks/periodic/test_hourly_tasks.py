"""Hourly tasks."""

from datetime import timedelta

import pytest
from django.utils import timezone

from app.models import Report
from app.tasks.periodic import hourly_tasks
from config.celery import app
from tests.factories.imports import ReportFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The imports that are started, by report."""
    app.loader.import_default_modules()
    reports: list[int] = []
    task = app.tasks[hourly_tasks.IMPORT_REPORT]
    monkeypatch.setattr(
        task, "apply_async", lambda args, kwargs=None, **options: reports.append(*args)
    )
    return reports


def test_stalled_import_is_started_and_one_that_moves_is_not(
    started: list[int],
) -> None:
    stalled, moving = ReportFactory.create_batch(2)
    long_ago = timezone.now() - timedelta(days=1)
    Report.objects.filter(pk=stalled.pk).update(updated_at=long_ago)

    assert hourly_tasks.restart_stalled_imports.apply().get() == 1
    assert started == [stalled.pk]


def test_nothing_stalled_starts_nothing(started: list[int]) -> None:
    ReportFactory.create(state=Report.State.DONE)

    assert hourly_tasks.restart_stalled_imports.apply().get() == 0
    assert started == []


def test_import_counts_as_stalled_only_after_the_longest_step() -> None:
    app.loader.import_default_modules()

    steps = [
        task
        for name, task in app.tasks.items()
        if name.startswith(("app.workflows.data_pipeline.", "app.tasks.import_tasks."))
    ]

    assert steps
    assert all(
        (step.time_limit or 0) < hourly_tasks.STALLED_AFTER_SECONDS for step in steps
    )
