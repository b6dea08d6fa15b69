"""A RabbitMQ of the tests' own: free ports, a folder that goes away, and its own `epmd`.

Nothing of it is shared with a RabbitMQ that the machine may run: neither the node's name
service (`epmd`) nor the cookie in the home folder, nor any file of `/etc/rabbitmq`.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kombu import Connection

from tools.dev.broker import HOST, free_port
from tools.dev.process import Process

# Debian's command in /usr/sbin is for root only, and runs the system's own node.
FOLDERS = f"/usr/lib/rabbitmq/bin:{os.environ.get('PATH', os.defpath)}"
START_SECONDS = 60
PASSWORD = "only-for-tests"
MAX_MESSAGE_BYTES = 1_000_000

# A disk that is nearly full must not block a test.
CONFIGURATION = """
listeners.tcp.default = {host}:{port}
default_user = tests
default_pass = {password}
disk_free_limit.absolute = 1MB
max_message_size = {max_message_bytes}
"""

# Milliseconds between two looks for messages that were held for too long.
ADVANCED_CONFIGURATION = "[{rabbit, [{channel_tick_interval, 1000}]}]."


class OwnRabbit:
    """A RabbitMQ node that keeps its durable queues when it stops."""

    # By address, for what AMQP itself does not tell.
    running: dict[str, "OwnRabbit"] = {}

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._port = free_port()
        self._node: Process | None = None
        self._names: Process | None = None
        self._environment = {
            "PATH": FOLDERS,
            "HOME": str(folder),  # of the cookie
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": HOST,
            # By itself, an Erlang program starts one that nobody stops.
            "ERL_FLAGS": "-start_epmd false",
            # The script becomes the node, instead of waiting for it: a killed test run
            # leaves none behind.
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_NODENAME": "tests@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1}"
            ),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
        }
        (folder / "advanced.config").write_text(ADVANCED_CONFIGURATION)
        (folder / "enabled_plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text(
            CONFIGURATION.format(
                host=HOST,
                port=self._port,
                password=PASSWORD,
                max_message_bytes=MAX_MESSAGE_BYTES,
            )
        )

    @property
    def url(self) -> str:
        """Its address, whether it runs or not."""
        return f"amqp://tests:{PASSWORD}@{HOST}:{self._port}//"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if self._names is None:
            port = self._environment["ERL_EPMD_PORT"]
            self._names = self._process("epmd", "-port", port, "-address", HOST)
        self._node = self._process(self._program, "-noinput")
        self._node.wait_for_line("Server startup complete", START_SECONDS)
        with Connection(self.url, connect_timeout=START_SECONDS) as connection:
            connection.connect()
        self.running[self.url] = self

    def stop(self) -> None:
        """Stop it in good order."""
        if self._node is not None:
            self._node.stop(START_SECONDS)

    def kill(self) -> None:
        """Stop it as a crash does; what was in its quorum queues is there again later.

        Not so for a queue that was declared within the last half second, of which the node
        then knows no more than its name.
        """
        if self._node is not None:
            self._node.kill()

    def close(self) -> None:
        """Stop it for good, and all that was started for it."""
        self.running.pop(self.url, None)
        self.kill()
        if self._names is not None:
            self._names.kill()

    def control(self, *command: str) -> str:
        """Run a command of `rabbitmqctl`, and return what it prints."""
        finished = subprocess.run(
            ["rabbitmqctl", "--quiet", *command],
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def unacknowledged(self) -> int:
        """Return how many messages of all queues workers hold."""
        lines = self.control("list_queues", "messages_unacknowledged").splitlines()
        return sum(int(line) for line in lines if line.isdigit())

    def fill(self) -> None:
        """Make it take no more messages: it blocks those who publish."""
        self.control("set_vm_memory_high_watermark", "0.000001")

    def relieve(self) -> None:
        """Let it take messages again."""
        self.control("set_vm_memory_high_watermark", "0.4")

    @contextmanager
    def taking_back_after(self, seconds: int) -> Iterator[None]:
        """Take messages back from workers that begin to consume in this block.

        Args:
            seconds: for which a worker may hold one.
        """
        before = self.control("eval", "application:get_env(rabbit, consumer_timeout).")
        assert before.startswith("{ok,"), before
        self._hold_for(seconds * 1000)
        try:
            yield
        finally:
            self._hold_for(int(before.strip().strip("{}").partition(",")[2]))

    def _hold_for(self, milliseconds: int) -> None:
        command = f"application:set_env(rabbit, consumer_timeout, {milliseconds})."
        self.control("eval", command)

    def _process(self, *command: str) -> Process:
        return Process(
            Path(command[0]).name,
            list(command),
            cwd=self._folder,
            env=self._environment,
        )


@contextmanager
def own_rabbit() -> Iterator[OwnRabbit]:
    """Provide a node that runs, and surely stop it."""
    program = shutil.which("rabbitmq-server", path=FOLDERS)
    if program is None:
        # Not a skip: whoever sets TEST_BROKER wants to know.
        pytest.fail("TEST_BROKER=rabbitmq needs rabbitmq-server", pytrace=False)
    # A node that is dying may still write.
    with tempfile.TemporaryDirectory(
        prefix="rabbit-", ignore_cleanup_errors=True
    ) as folder:
        own = OwnRabbit(program, Path(folder))
        try:
            own.start()
            yield own
        finally:
            own.close()
