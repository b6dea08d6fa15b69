"""The schedule of periodic tasks."""

import pytest
from django_celery_beat.models import PeriodicTask
from kombu.utils.imports import symbol_by_name

from config.celery import app
from config.schedule import SCHEDULE
from ledger import code_schedule


@pytest.mark.parametrize("name", SCHEDULE)
def test_scheduled_task_exists(name: str) -> None:
    app.loader.import_default_modules()

    assert SCHEDULE[name]["task"] in app.tasks


def test_every_periodic_task_is_scheduled() -> None:
    app.loader.import_default_modules()

    clocked = ("app.tasks.periodic.", "ledger.tasks.")
    periodic = {name for name in app.tasks if name.startswith(clocked)}

    assert periodic == {entry["task"] for entry in SCHEDULE.values()}


@pytest.mark.django_db
@pytest.mark.parametrize("name", SCHEDULE)
def test_entry_can_be_kept_in_the_database(name: str) -> None:
    assert code_schedule.fields(app, **SCHEDULE[name])["task"] == SCHEDULE[name]["task"]


@pytest.mark.django_db(transaction=True)  # the scheduler closes connections
def test_beat_writes_the_schedule_into_the_database() -> None:
    scheduler = symbol_by_name(app.conf.beat_scheduler)(app=app)

    scheduler.tick()

    assert set(SCHEDULE) == set(PeriodicTask.objects.values_list("name", flat=True))
