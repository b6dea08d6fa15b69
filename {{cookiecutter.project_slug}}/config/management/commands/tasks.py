"""`manage.py tasks`: print the catalogue of tasks."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config import catalogue, catalogue_formats


class Command(BaseCommand):
    """Print what is known of every task."""

    help = (
        "Print the catalogue of tasks: queue, limits, retries, idempotency, tests and "
        "what starts them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--format", choices=("table", "md", "json", "mermaid"), default="table"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        entries = catalogue.entries()
        match options["format"]:
            case "md":
                text = catalogue_formats.markdown(entries)
            case "json":
                text = catalogue_formats.as_json(entries)
            case "mermaid":
                text = catalogue_formats.mermaid(entries, catalogue.workflows())
            case _:
                text = catalogue_formats.table(entries)
        self.stdout.write(text)
