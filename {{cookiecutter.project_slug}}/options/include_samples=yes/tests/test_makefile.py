"""What `make` says when it is asked for too little."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_import_without_a_report_says_how_to_name_one() -> None:
    # -o: nothing is installed by a test.
    command = ["make", "--old-file=install", "import", "REPORT="]

    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert made.returncode != 0
    assert made.stderr.splitlines()[0] == (
        "say which: make import REPORT=path/to/report.xml"
    )
