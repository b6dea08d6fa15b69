"""`python -m tools.docs`: write into `docs/` what the project says about itself.

The topology of `config/queues.py` goes into `queues.md`, the catalogue of tasks into
`tasks.md`. The text around them is written by hand.
"""

import os
import re
from pathlib import Path

import django

DOCS = Path(__file__).resolve().parent.parent / "docs"

_TABLE = re.compile(r"^\|.*\n(?:\|.*\n)+", re.MULTILINE)
_DIAGRAM = re.compile(r"^```mermaid\n.*?^```\n", re.MULTILINE | re.DOTALL)


def with_table(page: str, table: str) -> str:
    """Return the page with its first table replaced.

    Raises:
        ValueError: if it has no table.
    """
    return _replaced(_TABLE, page, f"{table.strip()}\n", "table")


def with_diagram(page: str, diagram: str) -> str:
    """Return the page with its first Mermaid diagram replaced.

    Raises:
        ValueError: if it has no diagram.
    """
    return _replaced(_DIAGRAM, page, f"```mermaid\n{diagram}\n```\n", "diagram")


def tasks_page(page: str) -> str:
    """Return `tasks.md` with the catalogue as it is now; Django must be set up."""
    from config import catalogue, catalogue_formats

    entries = catalogue.entries()
    diagram = catalogue_formats.mermaid(entries, catalogue.workflows())
    return with_diagram(with_table(page, catalogue_formats.markdown(entries)), diagram)


def queues_page(page: str) -> str:
    """Return `queues.md` with the topology as it is now."""
    from config.management.commands import queues

    return with_table(page, queues.markdown())


def _replaced(pattern: re.Pattern[str], page: str, text: str, kind: str) -> str:
    replaced, count = pattern.subn(lambda found: text, page, count=1)
    if not count:
        raise ValueError(f"no {kind} to replace")
    return replaced


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    for name, written in (("queues.md", queues_page), ("tasks.md", tasks_page)):
        path = DOCS / name
        path.write_text(written(path.read_text("utf-8")), "utf-8")
