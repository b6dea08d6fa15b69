"""`make run`: everything starts, and whatever ends, ends everything."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from signal import Signals
from uuid import uuid4

import pytest

from config.queues import QUEUES
from tests.harness.fixtures import rabbit_server
from tests.harness.own_rabbit import PASSWORD
from tests.harness.processes import ROOT, wait_until
from tests.settings import ON_RABBITMQ
from tools.dev.broker import free_port
from tools.dev.process import Process
from tools.dev.service import READY

__all__ = ["rabbit_server"]

pytestmark = pytest.mark.integration

CODE = ("app", "config", "ledger", "tools", "manage.py", ".env.example")
READY_SECONDS = 120
STOP_SECONDS = 40


class Run(Process):
    """`make run` in a folder of its own; all its processes carry a mark."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        self.port = int(env.get("WEB_PORT", free_port()))
        self.mark = f"RUN_MARK={uuid4()}"
        own = {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "DATABASE_URL": "",
            "REDIS_URL": "",
            "BROKER_URL": "",
            "MEDIA_ROOT": "",
            "ENV_FILE": str(folder / ".env.example"),
            "WEB_PORT": str(self.port),
            "WEB_WORKERS": "1",
            "WORKER_CONCURRENCY": ",".join(f"{queue.name}=1" for queue in QUEUES),
            "REDIS_PASSWORD": "a password",
            # What a killed run leaves behind goes away with the folder.
            "TMPDIR": str(folder),
            "LOG_LEVEL": "INFO",
        }
        name, _, value = self.mark.partition("=")
        super().__init__(
            "make run",
            [sys.executable, "-m", "tools.dev.run"],
            cwd=folder,
            env={**os.environ, **own, name: value, **env},
        )

    @property
    def told(self) -> Path:
        """The file that tells other terminals of the broker."""
        return self.folder / "var" / "embedded.env"

    def processes(self) -> list[str]:
        """Return `pid command environment` of all its processes."""
        listing = subprocess.run(
            ["ps", "axeww", "-o", "pid=,args="], capture_output=True, text=True
        ).stdout
        return [line for line in listing.splitlines() if self.mark in line]

    def pid_of(self, command: str) -> int:
        """Return the id of its first process with that command."""
        line = next(line for line in self.processes() if command in line)
        return int(line.split()[0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the project, because a developer's own `make run` may be up."""
    for name in CODE:
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    return tmp_path


@pytest.fixture
def run(folder: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    """A run that has just been started, on the broker that this test run is about."""
    own = {}
    if ON_RABBITMQ:
        own["BROKER_URL"] = request.getfixturevalue("rabbit_server").url
    started = Run(folder, **own)
    yield started
    started.stop(STOP_SECONDS)


def test_ctrl_c_stops_a_service_that_works_and_leaves_nothing(run: Run) -> None:
    run.wait_for_line(READY, READY_SECONDS)
    connection = HTTPConnection("127.0.0.1", run.port, timeout=10)
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    connection.close()
    mode = stat.S_IMODE(run.told.stat().st_mode)
    assert len(run.processes()) > len(QUEUES)

    run.signal(Signals.SIGINT)

    assert (answer.status, mode) == (200, 0o600)
    assert run.wait(STOP_SECONDS) == 0, run.tail()
    assert run.processes() == []
    assert not run.told.exists()
    socket.create_server(("127.0.0.1", run.port)).close()


def test_process_that_dies_takes_the_others_down_and_is_named(run: Run) -> None:
    run.wait_for_line(r"io@\S+ ready", READY_SECONDS)

    os.kill(run.pid_of("manage.py worker io"), Signals.SIGKILL)

    assert run.wait(STOP_SECONDS) == 1, run.tail()
    assert "io ended unexpectedly with status -9" in run.tail()
    assert run.processes() == []
    assert not run.told.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux offers this")
def test_killed_runner_leaves_no_process(run: Run) -> None:
    run.wait_for_line(r"io@\S+ ready", READY_SECONDS)

    run.signal(Signals.SIGKILL)

    # A web process looks for its parent every 15 s.
    wait_until(lambda: run.processes() == [], timeout=30)


def test_file_left_by_a_killed_run_is_not_believed(folder: Path) -> None:
    told = folder / "var" / "embedded.env"
    told.parent.mkdir()
    stale = f"REDIS_URL=redis://127.0.0.1:{free_port()}\n"
    told.write_text(stale)
    run = Run(folder)

    run.wait_for_line("migrate", READY_SECONDS)
    address = told.read_text()
    run.stop(STOP_SECONDS)

    assert address != stale
    assert run.returncode == 0, run.tail()


def test_rabbitmq_that_does_not_answer_is_an_error_without_the_password(
    folder: Path,
) -> None:
    address = f"127.0.0.1:{free_port()}"
    run = Run(folder, BROKER_URL=f"amqp://tests:{PASSWORD}@{address}/host")

    assert run.wait(STOP_SECONDS) == 1

    [message] = run.output()
    assert f"RabbitMQ at {address} does not answer" in message
    assert PASSWORD not in message


def test_port_in_use_is_an_error_before_anything_starts(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = Run(folder, WEB_PORT=str(port))

        assert run.wait(STOP_SECONDS) == 1

    [message] = run.output()
    assert f"cannot listen on 127.0.0.1, port {port}" in message
