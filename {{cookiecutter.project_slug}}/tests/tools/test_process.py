"""Child processes: read, waited for, stopped with all that they started."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import Signals

import pytest

from tests.harness.processes import wait_until
from tools.dev.process import Process

# Starts a child that ignores SIGTERM, as a pool process in a long C call would.
STUBBORN_FAMILY = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    print("child", child, flush=True)
time.sleep(600)
"""


@contextmanager
def python(code: str, stdin: str = "") -> Iterator[Process]:
    command = [sys.executable, "-c", code]
    process = Process("python", command, cwd=Path.cwd(), env=os.environ, stdin=stdin)
    try:
        yield process
    finally:
        process.kill()


def gone(pid: int) -> bool:
    """Return whether no such process runs; one that only waits to be reaped is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_line_that_comes_later_is_waited_for() -> None:
    with python("print(input() + ' world')", stdin="hello\n") as process:
        assert process.wait_for_line("world", timeout=20) == "hello world"


def test_end_without_the_line_fails_at_once_and_shows_the_output() -> None:
    with (
        python("print('last words'); raise SystemExit(3)") as process,
        pytest.raises(TimeoutError, match=r"(?s)ended with status 3.*last words"),
    ):
        process.wait_for_line("never", timeout=600)


def test_stop_kills_descendants_that_ignore_it() -> None:
    with python(STUBBORN_FAMILY) as process:
        child = int(process.wait_for_line("child", timeout=20).split()[1])

        assert process.stop(grace=0.2) == -Signals.SIGKILL

    wait_until(lambda: gone(child))


def test_end_is_reported_even_if_it_was_earlier() -> None:
    ended: list[Process] = []
    with python("pass") as process:
        process.wait()

        process.when_ended(ended.append)

        wait_until(lambda: ended == [process])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux offers this")
def test_process_does_not_outlive_an_owner_that_is_killed() -> None:
    owner = """
import os, sys, time
from pathlib import Path
from tools.dev.process import Process
sleeper = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
child = Process("sleeper", sleeper, cwd=Path.cwd(), env=os.environ)
child.wait_for_line("up", timeout=20)
print("child", child.pid, flush=True)
time.sleep(600)
"""
    with python(owner) as process:
        child = int(process.wait_for_line("child", timeout=20).split()[1])

        process.signal(Signals.SIGKILL)

        wait_until(lambda: gone(child))
