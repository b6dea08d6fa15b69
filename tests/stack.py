"""A baked service in containers, on this machine's Docker engine."""

import http.client
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

HOST = "127.0.0.1"
POLL_SECONDS = 0.25

# docker-compose.prod.yml has a port for each of two web servers and its successor.
PORTS = 4

# Production has them as files.
SECRETS = ("SECRET_KEY", "API_TOKEN", "DATABASE_PASSWORD", "REDIS_PASSWORD")


def say(line: str) -> None:
    """Show progress; these tests take minutes."""
    print(f"  {time.strftime('%H:%M:%S')} {line}", flush=True)


class Stack:
    """The containers of one bake."""

    def __init__(self, root: Path, *, stage: str = "") -> None:
        """Take a bake; nothing is started.

        Args:
            root: of the bake.
            stage: blank, `dev` or `prod`.
        """
        self.root = root
        files = "docker-compose.yml"
        if stage == "prod":
            files += ":docker-compose.prod.yml"
        self._make = ["STAGE=dev"] if stage == "dev" else []
        replace(root / ".env", r"^COMPOSE_FILE=.*", f"COMPOSE_FILE={files}")
        self._token = _value(root / ".env", "API_TOKEN")
        self.port = free_ports(PORTS)
        replace(root / ".env", r"^WEB_PORT=.*", f"WEB_PORT={self.port}")
        last = self.port + PORTS - 1
        prod = root / "docker-compose.prod.yml"
        replace(prod, r"127.0.0.1:[\d-]+:8000", f"{HOST}:{self.port}-{last}:8000")
        if stage == "prod":
            self.make("secrets")
            for name in SECRETS:
                replace(root / ".env", rf"^{name}=.*", f"{name}=")

    def use_image(self, name: str) -> None:
        """Choose what runs in production."""
        replace(self.root / ".env", r"^IMAGE=.*", f"IMAGE={name}")

    # --- commands

    def make(self, *arguments: str) -> str:
        """Run a target of the project's Makefile; returns what it printed."""
        return self.run("make", *arguments, *self._make)

    def run(self, *command: str) -> str:
        """Run a command in the project; returns what it printed."""
        known = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG")
        finished = subprocess.run(
            command,
            cwd=self.root,
            env={name: os.environ[name] for name in known if name in os.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert finished.returncode == 0, f"{' '.join(command)}\n{finished.stdout}"
        return finished.stdout

    def compose(self, *arguments: str) -> str:
        """Run a subcommand of `docker compose`."""
        files = ["docker-compose.yml", "docker-compose.dev.yml"] if self._make else []
        chosen = [f"--file={name}" for name in files]
        return self.run("docker", "compose", *chosen, *arguments)

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's containers that run."""
        return self.compose("--profile=*", "ps", "--quiet", service).split()

    def inspect(self, container: str) -> dict[str, Any]:
        """Return what Docker knows of a container."""
        found: list[dict[str, Any]] = json.loads(
            self.run("docker", "inspect", container)
        )
        return found[0]

    def probe(self, service: str, question: str) -> bool:
        """Ask the probe of a service's container."""
        [container] = self.containers(service)[:1]
        command = ["python", "-I", "-S", "probe.py", question]
        asked = ["docker", "exec", container, *command]
        return subprocess.run(asked, stdout=subprocess.DEVNULL).returncode == 0

    def query(self, sql: str) -> list[str]:
        """Ask the database; returns one line per row, columns separated by `|`."""
        psql = ("psql", "--username", "app", "--no-align", "--tuples-only")
        return self.compose("exec", "-T", "postgres", *psql, "-c", sql).split()

    # --- HTTP

    def request(
        self, port: int, method: str, path: str, body: bytes = b"", kind: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Send a request as the load balancer does; returns status and content.

        Raises:
            ConnectionRefusedError: if nothing was sent, because nobody listens.
            OSError: if it got lost otherwise.
        """
        headers = {
            "Authorization": f"Bearer {self._token}",
            "X-Forwarded-Proto": "https",
            "Content-Type": kind,
        }
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            is_json = answer.headers.get_content_type() == "application/json"
            return answer.status, json.loads(text) if is_json else {}
        except http.client.HTTPException as error:
            raise ConnectionResetError(repr(error)) from error
        finally:
            connection.close()

    def is_ready(self, port: int = 0) -> bool:
        """Return whether a web server says that it can serve."""
        try:
            return self.request(port or self.port, "GET", "/readyz")[0] == 200
        except OSError:
            return False

    def send_report(self, port: int, cases: int) -> tuple[int, dict[str, Any]]:
        """Send a test report that was never sent before."""
        boundary = uuid4().hex
        head = (
            f"--{boundary}\r\nContent-Disposition: form-data; "
            'name="report"; filename="junit.xml"\r\n\r\n'
        )
        body = f"{head}{report(cases)}\r\n--{boundary}--\r\n".encode()
        kind = f"multipart/form-data; boundary={boundary}"
        return self.request(port, "POST", "/api/reports", body, kind)

    def wait_until_nothing_is_left_to_do(self, seconds: float) -> None:
        """Wait until every run of the ledger has ended."""
        active = (
            "SELECT count(*) FROM ledger_taskrun"
            " WHERE state IN ('pending', 'queued', 'running')"
        )
        wait_until(lambda: self.query(active) == ["0"], seconds, "runs are left")


def report(cases: int) -> str:
    """Return a JUnit XML report unlike any other."""
    name = uuid4().hex
    lines = "".join(
        f'<testcase classname="tests.{name}" name="test_{number}" time="0.01"/>'
        for number in range(cases)
    )
    return f'<testsuite name="{name}" tests="{cases}">{lines}</testsuite>'


def wait_until(condition: Any, seconds: float, otherwise: str) -> None:
    """Wait for a condition; fails with `otherwise` when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{otherwise} after {seconds} s"
        time.sleep(POLL_SECONDS)


def free_ports(count: int) -> int:
    """Return the first of so many ports in a row that nobody listens on."""
    for first in range(18000, 19000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind((HOST, port))
        except OSError:
            continue
        return first
    raise OSError("no free ports")


def replace(path: Path, pattern: str, text: str) -> None:
    """Replace the one place of a file that a pattern matches."""
    changed, count = re.subn(
        pattern, text, path.read_text(encoding="utf-8"), flags=re.M
    )
    assert count == 1, f"{path}: {count} times {pattern}"
    path.write_text(changed, encoding="utf-8")


@contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """Start a stack, and leave nothing of it behind: no container, no data."""
    try:
        stack.make("up")
        yield stack
    finally:
        down = ("down", "--volumes", "--remove-orphans", "--timeout", "5")
        stack.compose("--profile=*", *down)


def _value(path: Path, name: str) -> str:
    found = re.search(rf"^{name}=(.*)$", path.read_text(encoding="utf-8"), re.M)
    assert found, f"{path} has no {name}"
    return found[1]
