"""A PostgreSQL of a test's own, which it may crash and start again at the same address."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGQUIT
from typing import Any

import dj_database_url
from django.core.management import call_command
from django.db import connection, connections
from django.db.utils import ConnectionHandler

from tests.harness.processes import wait_until
from tests.harness.servers import missing
from tools.dev.broker import HOST, free_port
from tools.dev.process import Process

# Where Debian and Ubuntu keep the server, which is not on PATH there.
DEBIAN = Path("/usr/lib/postgresql")

# PostgreSQL refuses to run as root; in a container, where one is, it runs as this user.
INSTEAD_OF_ROOT = "nobody"

START_SECONDS = 60


class OwnPostgres:
    """A PostgreSQL server with one database, in a temporary folder."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._port = free_port()
        self._process: Process | None = None
        self._prefix: list[str] = []
        if os.geteuid() == 0:
            user = pwd.getpwnam(INSTEAD_OF_ROOT)
            os.chown(folder, user.pw_uid, user.pw_gid)
            ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
            # The leash of `Process` is lost with the user, so it is put on once more.
            leash = "--pdeathsig=KILL"
            self._prefix = ["setpriv", *ids, "--clear-groups", leash]
        self._initialize()

    @property
    def url(self) -> str:
        """Its address, whether it runs or not."""
        return f"postgres://app@{HOST}:{self._port}/postgres"

    def start(self) -> None:
        """Start it, after a crash too, and wait until it answers."""
        command = [*self._prefix, str(self._programs / "postgres")]
        command += ["-D", str(self._folder / "data"), "-p", str(self._port)]
        command += ["-h", HOST, "-k", str(self._folder)]
        # What is committed survives the crash of a process without it; only the loss of
        # power needs it.
        command += ["-c", "fsync=off"]
        self._process = Process(
            "postgres", command, cwd=self._folder, env=_environment()
        )
        wait_until(self._answers, timeout=START_SECONDS, processes=[self._process])

    def crash(self) -> None:
        """End all its processes at once; it recovers from its log at the next start.

        https://www.postgresql.org/docs/current/server-shutdown.html
        """
        assert self._process is not None
        self._process.signal(SIGQUIT)
        self._process.wait()

    def stop(self) -> None:
        """Make sure that nothing of it runs any more."""
        if self._process is not None:
            self._process.kill()

    def _initialize(self) -> None:
        command = [*self._prefix, str(self._programs / "initdb")]
        command += ["--pgdata", str(self._folder / "data"), "--username", "app"]
        command += ["--auth", "trust", "--encoding", "UTF8", "--no-sync"]
        subprocess.run(
            command,
            cwd=self._folder,
            env=_environment(),
            check=True,
            capture_output=True,
        )

    def _answers(self) -> bool:
        ready = subprocess.run(
            [self._programs / "pg_isready", "-q", "-h", HOST, "-p", str(self._port)]
        )
        return ready.returncode == 0


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Provide a server that runs, and surely stop it."""
    programs = find_programs()
    if programs is None:
        missing("the programs of a PostgreSQL server")
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        own = OwnPostgres(programs, Path(folder))
        own.start()
        try:
            yield own
        finally:
            own.stop()


@contextmanager
def database_of(server: OwnPostgres) -> Iterator[None]:
    """Make the server's database the one of this process and of the workers it starts."""
    before = connections["default"]
    parsed: Any = dj_database_url.parse(server.url)
    parsed["OPTIONS"] = {"server_side_binding": True, "prepare_threshold": 2}
    own = ConnectionHandler({"default": parsed})["default"]
    connections["default"] = own
    try:
        call_command("migrate", run_syncdb=True, verbosity=0)
        yield
    finally:
        own.close()
        connections["default"] = before


def forget_crash() -> None:
    """Drop this process's connection, which the crash of the server has ended."""
    connection.close()


def find_programs() -> Path | None:
    """Return the folder with `initdb` and `postgres`, None if there is no server here."""
    found = [path.parent for path in sorted(DEBIAN.glob("*/bin/initdb"), reverse=True)]
    if config := shutil.which("pg_config"):
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True)
        found.append(Path(told.stdout.strip()))
    if server := shutil.which("postgres"):
        found.insert(0, Path(server).resolve().parent)
    programs = ("initdb", "postgres", "pg_isready")
    for folder in found:
        if all(os.access(folder / program, os.X_OK) for program in programs):
            return folder
    return None


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
