"""`python -m tools.docs`: write into `docs/` what the project says about itself.

The topology of `config/queues.py` goes into `queues.md`, the catalogue of tasks into
`tasks.md`. The text around them is written by hand. With `--check` nothing is written, and
the exit status is 1 if a page is out of date.
"""

import argparse
import os
import re
import sys
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


PAGES = {"queues.md": queues_page, "tasks.md": tasks_page}


def main(arguments: list[str], folder: Path = DOCS) -> int:
    """Write the pages, or compare them, and return the exit status.

    Args:
        arguments: of the command line.
        folder: that holds the pages.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.docs")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    given = parser.parse_args(arguments)
    late = []
    for name, written in PAGES.items():
        path = folder / name
        page = path.read_text("utf-8")
        if (text := written(page)) != page:
            late.append(name)
            if not given.check:
                path.write_text(text, "utf-8")
    if not given.check:
        return 0
    for name in late:
        print(f"docs/{name} is out of date: run `make docs`", file=sys.stderr)
    return 1 if late else 0


def _replaced(pattern: re.Pattern[str], page: str, text: str, kind: str) -> str:
    replaced, count = pattern.subn(lambda found: text, page, count=1)
    if not count:
        raise ValueError(f"no {kind} to replace")
    return replaced


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    sys.exit(main(sys.argv[1:]))
