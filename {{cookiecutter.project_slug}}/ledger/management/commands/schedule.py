"""`manage.py schedule`: what runs when, and when it ran last."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from ledger.code_schedule import FROM_CODE, declared, unsaved
from ledger.schedule import due_times

_COLUMNS = ("name", "task", "schedule", "source", "last", "next")


class Command(BaseCommand):
    """Print one row per entry of the schedule."""

    help = "List the entries of the schedule with their last and next ticks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        stored = {entry.name: _row(entry) for entry in PeriodicTask.objects.all()}
        found = {**dict(_new()), **stored}
        rows = [found[name] for name in sorted(found)]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
            return
        cells = [list(_COLUMNS), *([row[key] for key in _COLUMNS] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for line in cells:
            padded = (cell.ljust(width) for cell, width in zip(line, widths))
            self.stdout.write("  ".join(padded).rstrip())


def _new() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the entries of the code by name, as if no beat had seen them yet."""
    for name, entry in declared(current_app).items():
        try:
            row = _row(unsaved(current_app, name, entry))
        except Exception as error:  # as in `_next`
            row = dict.fromkeys(_COLUMNS, "-") | {"name": name}
            row |= {"task": str(entry.get("task")), "next": f"never: {error}"}
        yield name, row | {"source": "code, new"}


def _row(entry: Any) -> dict[str, str]:
    return {
        "name": entry.name,
        "task": entry.task,
        "schedule": str(entry.scheduler),
        "source": "code" if entry.description == FROM_CODE else "admin",
        "last": _last(entry),
        "next": _next(entry),
    }


def _last(entry: Any) -> str:
    """Return the last tick; `last_run_at` may be when beat began to count, too."""
    moment = entry.last_run_at
    if moment:
        with suppress(Exception):  # an unusable schedule, about which `_next` tells
            if next(due_times(entry, moment - timedelta(microseconds=1))) == moment:
                return _shown(moment)
    return "-"


def _next(entry: Any) -> str:
    """Return when an entry is due next; in the past, if beat has yet to make up for it."""
    if not entry.enabled:
        return "disabled"
    try:
        return _shown(next(due_times(entry, entry.last_run_at or timezone.now()), None))
    except Exception as error:  # whatever makes it unusable is what a person must see
        return f"never: {error}"


def _shown(moment: datetime | None) -> str:
    return timezone.localtime(moment).isoformat(timespec="seconds") if moment else "-"
