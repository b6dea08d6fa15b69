"""Real worker processes on the test's own database and broker."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from signal import Signals
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from tools.dev.process import Process

ROOT = Path(__file__).resolve().parent.parent.parent

# A worker needs about 2 s of CPU to start, and the cores may be shared.
START_SECONDS = 120
STOP_SECONDS = 10
POLL_SECONDS = 0.02


class Worker(Process):
    """The worker of one or several queues: `manage.py worker io`.

    It runs with the service's own settings, not with those of the tests. Only the
    addresses differ: they are the test's database, broker and folder for files.
    """

    def __init__(
        self,
        *queues: str,
        broker_url: str,
        env: Mapping[str, str],
    ) -> None:
        """Start it, and return before it is ready.

        Args:
            queues: names from the topology.
            broker_url: of the test's broker.
            env: settings that this worker shall have, by variable name. `LOG_LEVEL` and
                `LOG_FORMAT` are not among them: its log is how it is observed.
        """
        super().__init__(
            f"worker {'-'.join(queues)}",
            [sys.executable, "manage.py", "worker", *queues],
            cwd=ROOT,
            env={**os.environ, **environment(broker_url), **env},
        )

    def wait_until_ready(self) -> None:
        """Wait until it consumes from its queues."""
        self.wait_for_line(r"@\S+ ready\.", START_SECONDS)

    def signal_all(self, number: Signals) -> None:
        """Send a signal to the main process and to all its pool processes."""
        os.killpg(self.pid, number)

    def records(self, event: str = "") -> list[dict[str, Any]]:
        """Return what it has logged so far, as dictionaries.

        Args:
            event: only records of this event, such as `task ended`.
        """
        parsed = [json.loads(line) for line in self.output() if line.startswith("{")]
        return [record for record in parsed if event in ("", record["event"])]


def environment(broker_url: str) -> dict[str, str]:
    """Return the environment of a process that shares the test's servers.

    Args:
        broker_url: of Redis, or of RabbitMQ: then the cache stays where the test has it.
    """
    cache_url = settings.RATE_LIMIT_STORAGE_URL.rpartition("/")[0]
    rabbitmq = broker_url.startswith("amqp")
    return {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": database_url(),
        "DATABASE_PASSWORD": str(connection.settings_dict["PASSWORD"] or ""),
        "REDIS_URL": cache_url if rabbitmq else broker_url,
        "BROKER_URL": broker_url if rabbitmq else "",
        "MEDIA_ROOT": str(settings.MEDIA_ROOT),
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
    }


def database_url() -> str:
    """Return the address of the database that pytest-django has made, without password."""
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    user, host, name = (
        quote(str(database[key]), safe="") for key in ("USER", "HOST", "NAME")
    )
    port = f":{database['PORT']}" if database["PORT"] else ""
    return f"postgres://{user}@{host}{port}/{name}"


def wait_until(
    condition: Callable[[], object],
    timeout: float = 30,
    *,
    processes: Iterable[Process] = (),
) -> None:
    """Wait until a condition holds that no event announces, such as a row's state.

    Args:
        condition: called again and again until it returns something true.
        timeout: seconds.
        processes: their last lines become part of the failure message.

    Raises:
        TimeoutError: naming the condition.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            what = getattr(condition, "__qualname__", repr(condition))
            tails = [process.tail() for process in processes]
            raise TimeoutError("\n".join([f"{what} not true in {timeout} s", *tails]))
        time.sleep(POLL_SECONDS)
