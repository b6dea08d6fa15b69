"""A Redis of a test's own, which it may stop and start again at the same address."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGSTOP

import redis

from tests.harness.processes import wait_until
from tests.harness.servers import missing
from tools.dev.broker import HOST, STOP_SECONDS, configuration, find_server, free_port
from tools.dev.process import Process


class OwnRedis:
    """A Redis server that keeps nothing when it stops."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._port = free_port()
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Its address, whether it runs or not."""
        return f"redis://{HOST}:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        text = configuration(self._port, str(self._folder), password="")
        self._process = Process(
            "redis",
            [self._program, "-"],
            cwd=self._folder,
            env={},
            stdin=text.replace("appendonly yes", "appendonly no"),
        )
        wait_until(self._answers, timeout=20)

    def stop(self) -> None:
        """Stop it in good order."""
        if self._process is not None:
            self._process.stop(STOP_SECONDS)

    def kill(self) -> None:
        """Stop it as a crash does; what it held is gone."""
        if self._process is not None:
            self._process.kill()

    def hang(self) -> None:
        """End the connections of those who listen, and be silent on all others."""
        with redis.Redis.from_url(self.url) as client:
            client.client_kill_filter(_type="pubsub")
            if self._process is not None:
                self._process.signal(SIGSTOP)

    def fill(self) -> None:
        """Make it take no more messages: it answers with an error."""
        self._limit_memory("1")

    def relieve(self) -> None:
        """Let it take messages again."""
        self._limit_memory("0")

    def _limit_memory(self, amount: str) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.config_set("maxmemory", amount)

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False


@contextmanager
def own_redis() -> Iterator[OwnRedis]:
    """Provide a server that runs, and surely stop it."""
    server = find_server()
    if not server.program:
        missing("redis-server or valkey-server")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        own = OwnRedis(server.program, Path(folder))
        own.start()
        try:
            yield own
        finally:
            own.kill()
