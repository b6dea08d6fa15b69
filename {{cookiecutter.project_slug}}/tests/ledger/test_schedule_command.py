"""`manage.py schedule` tells an operator what runs when."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from celery.schedules import crontab
from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, SolarSchedule

from config.celery import app
from ledger.code_schedule import install
from ledger.schedule import LedgerScheduler
from tests.harness.effects.tasks import effect
from tests.ledger.entries import EVERY, entry


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the code says about the schedule: nothing, until a test adds to it."""
    entries: dict[str, Any] = {}
    monkeypatch.setitem(app.conf, "beat_schedule", entries)
    return entries


def listed(*options: str) -> str:
    output = StringIO()
    call_command("schedule", *options, stdout=output)
    return output.getvalue()


def as_json() -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(listed("--json"))}


def test_entries_are_listed_with_their_last_and_next_ticks() -> None:
    last = timezone.now() - timedelta(minutes=1)
    entry(start_time=last, last_run_at=last)

    found = as_json()["entry"]

    def shown(moment: Any) -> str:
        return str(timezone.localtime(moment).isoformat(timespec="seconds"))

    assert (found["task"], found["source"]) == (effect.name, "admin")
    assert (found["last"], found["next"]) == (shown(last), shown(last + EVERY))


def test_entry_that_does_not_run_says_why() -> None:
    sun = SolarSchedule.objects.create(event="sunset", latitude=0, longitude=0)
    entry(name="off", enabled=False)
    entry(name="sun", interval=None, solar=sun)

    assert as_json()["off"]["next"] == "disabled"
    assert "ephem" in as_json()["sun"]["next"]


def test_table_has_a_line_per_entry() -> None:
    entry()

    head, line = listed().splitlines()

    assert head.split() == ["name", "task", "schedule", "source", "last", "next"]
    assert line.startswith("entry ")


def test_entry_of_the_code_is_listed_before_a_beat_has_seen_it(
    code: dict[str, Any],
) -> None:
    noon = crontab(hour="12", minute="0")
    code["noon"] = {"task": effect.name, "schedule": noon}

    new = as_json()["noon"]
    install(app)
    stored = as_json()["noon"]

    assert (new["source"], stored["source"]) == ("code, new", "code")
    assert {**new, "source": "code"} == stored
    assert "T12:00:00" in new["next"]


def test_listing_writes_nothing(code: dict[str, Any]) -> None:
    code["new"] = {"task": effect.name, "schedule": 77}

    as_json()

    assert not PeriodicTask.objects.exists()
    assert not IntervalSchedule.objects.exists()


def test_entry_of_the_code_that_cannot_run_says_why(code: dict[str, Any]) -> None:
    code["sun"] = {"task": effect.name, "schedule": "at sunset"}

    assert as_json()["sun"]["next"].startswith("never: ")


def test_entry_that_has_not_ticked_yet_has_no_last_tick() -> None:
    entry(name="begun", start_time=None, last_run_at=None)
    beat = LedgerScheduler(app=app)
    beat.tick()

    assert PeriodicTask.objects.get(name="begun").last_run_at
    assert as_json()["begun"]["last"] == "-"
