"""Logs of containers as people read them."""

import json
import subprocess
import sys

import pytest

from config.env import BASE_DIR
from tools.logs import readable


@pytest.mark.parametrize("clear", ["", "\x1b[2K"])
@pytest.mark.parametrize("prefix", ["worker-io-1  | ", "[pod/worker-io-5d/service] "])
def test_entry_of_a_container_is_one_readable_line(prefix: str, clear: str) -> None:
    entry = {
        "event": "task ended",
        "task": "app.tasks.x.send",
        "state": "SUCCESS",
        "request_id": "abc",
        "level": "info",
        "timestamp": "2030-01-31T08:00:00Z",
    }

    line = readable(f"{clear}{prefix}{json.dumps(entry)}")

    assert line.startswith(prefix)
    assert "task ended: send" in line and "state=SUCCESS" in line
    assert "abc" not in line and "{" not in line


def test_exception_is_readable_with_its_place() -> None:
    frame = {"filename": "/srv/app/x.py", "lineno": 7, "name": "send"}
    raised = {"exc_type": "ValueError", "exc_value": "too much", "frames": [frame]}

    lines = readable(json.dumps({"event": "it failed", "exception": [raised]}))

    assert 'File "/srv/app/x.py", line 7, in send' in lines
    assert "ValueError: too much" in lines


def test_it_runs_by_a_python_that_has_nothing_installed() -> None:
    entry = json.dumps({"event": "task ended", "level": "info"})
    bare = [sys.executable, "-S", "-m", "tools.logs"]

    done = subprocess.run(
        bare, cwd=BASE_DIR, input=entry, check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == ["info", "task", "ended"]


def test_line_that_is_no_entry_stays_as_it_is() -> None:
    for line in ("redis-1  | 1:M Ready", "{half", "", "[1]", '{"a": 1}'):
        assert readable(line) == line
