"""Prometheus' own tool, which reads rules and queries as the server does."""

import os
import shutil
import subprocess
from pathlib import Path

from config.env import BASE_DIR
from tests.harness.servers import missing

FOLDER = BASE_DIR / "deploy" / "monitoring"


def promtool(*arguments: str | Path) -> str:
    """Run it; return what it prints, or fail with that.

    Skips the test where it is not installed; it comes with Debian's `prometheus`.
    """
    program = shutil.which("promtool") or missing("promtool, of Prometheus")
    finished = subprocess.run(
        [program, *arguments],
        cwd=FOLDER,
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout
