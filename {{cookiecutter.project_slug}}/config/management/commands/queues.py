"""`manage.py queues`: print the queue topology."""

import dataclasses
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config.queues import ONE_PER_CORE, QUEUES, Queue

HEADINGS = {
    "name": "Queue",
    "purpose": "Purpose",
    "pool": "Pool",
    "concurrency": "Processes",
    "priority": "Priority",
    "soft_time_limit": "Soft limit (s)",
    "time_limit": "Hard limit (s)",
    "shutdown_grace": "Grace (s)",
    "drain": "Drains",
}


class Command(BaseCommand):
    """Print one row per queue."""

    help = "Print the queue topology of config/queues.py."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--format", choices=("table", "md", "json"), default="table"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        output = options["format"]
        if output == "json":
            rows = [dataclasses.asdict(queue) for queue in QUEUES]
            self.stdout.write(json.dumps(rows, indent=2))
        else:
            self.stdout.write(markdown() if output == "md" else table())


def _cells() -> list[list[str]]:
    rows = [[_cell(queue, field) for field in HEADINGS] for queue in QUEUES]
    return [list(HEADINGS.values()), *rows]


def _cell(queue: Queue, field: str) -> str:
    value = getattr(queue, field)
    if field == "drain":
        return "yes" if value else "no"
    return (
        "one per core"
        if (field, value) == ("concurrency", ONE_PER_CORE)
        else str(value)
    )


def table() -> str:
    """Return the topology as aligned columns for a terminal."""
    cells = _cells()
    widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in cells
    )


def markdown() -> str:
    """Return the topology as a Markdown table."""
    head, *rows = _cells()
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
