"""`manage.py schedule` tells an operator what runs when."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

from django.core.management import call_command
from django.utils import timezone
from django_celery_beat.models import SolarSchedule

from tests.harness.effects.tasks import effect
from tests.ledger.entries import EVERY, entry


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
