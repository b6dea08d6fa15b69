"""`manage.py schedule`: what runs when, and when it ran last."""

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from ledger.code_schedule import FROM_CODE
from ledger.schedule import due_times

_COLUMNS = ("name", "task", "schedule", "source", "last", "next")


class Command(BaseCommand):
    """Print one row per entry of the schedule."""

    help = "List the entries of the schedule with their last and next ticks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = [_row(entry) for entry in PeriodicTask.objects.order_by("name")]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
            return
        cells = [list(_COLUMNS), *([row[key] for key in _COLUMNS] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for line in cells:
            padded = (cell.ljust(width) for cell, width in zip(line, widths))
            self.stdout.write("  ".join(padded).rstrip())


def _row(entry: Any) -> dict[str, str]:
    return {
        "name": entry.name,
        "task": entry.task,
        "schedule": str(entry.scheduler),
        "source": "code" if entry.description == FROM_CODE else "admin",
        "last": _shown(entry.last_run_at),
        "next": _next(entry),
    }


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
