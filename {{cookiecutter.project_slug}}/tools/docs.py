"""`python -m tools.docs`: write the topology of `config/queues.py` into `docs/queues.md`."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "queues.md"

_TABLE = re.compile(r"^\|.*\n(?:\|.*\n)+", re.MULTILINE)


def with_table(page: str, table: str) -> str:
    """Return the page with its first table replaced.

    Raises:
        ValueError: if it has no table.
    """
    replaced, count = _TABLE.subn(lambda found: f"{table.strip()}\n", page, count=1)
    if not count:
        raise ValueError("no table to replace")
    return replaced


if __name__ == "__main__":
    command = [sys.executable, "manage.py", "queues", "--format", "md"]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), printed.stdout), "utf-8")
