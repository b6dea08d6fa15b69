"""`python -m tools.contract`: check the project in the current folder.

The exit status is 0 if it keeps the contract, 1 if it does not, 2 for a wrong call.
"""

import argparse
import gc
import sys
from pathlib import Path

from tools.contract.engine import check
from tools.contract.formats import FORMATS


def main(arguments: list[str]) -> int:
    """Check, print the report, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.contract",
        description="Check the contract of docs/contract.md; nothing is imported or run.",
    )
    parser.add_argument("root", nargs="?", type=Path, default=Path.cwd())
    parser.add_argument("--format", choices=FORMATS, default="text")
    given = parser.parse_args(arguments)
    if not given.root.is_dir():
        parser.error(f"{given.root}: expected the folder of a project")
    report = check(given.root)
    print(FORMATS[given.format](report))
    return 1 if report.findings else 0


if __name__ == "__main__":
    # All trees are kept to the end: looking for garbage takes a quarter of the time.
    gc.disable()
    sys.exit(main(sys.argv[1:]))
