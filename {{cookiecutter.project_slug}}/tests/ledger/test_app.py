"""The Celery app as command lines use it, before Django is set up."""

import subprocess
import sys

from tests.harness.processes import ROOT


def test_remote_control_can_be_asked_for_before_django_is_set_up() -> None:
    program = "from config.celery import app; app.control"

    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )

    assert (found.returncode, found.stderr) == (0, "")
