"""The processes of the service besides workers: beats and relays."""

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Protocol

import pytest

from tests.harness.processes import ROOT, STOP_SECONDS, Worker, environment
from tools.dev.broker import Broker
from tools.dev.process import Process

COMMANDS = {
    "beat": ["-m", "celery", "--app", "config", "--quiet", "beat"],
    "relay": ["manage.py", "relay"],
}


class Service(Process):
    """A beat or a relay, on the test's own database and broker."""

    def __init__(self, name: str, broker_url: str, env: Mapping[str, str]) -> None:
        """Start it, and return before it is ready.

        Args:
            name: a key of `COMMANDS`.
            broker_url: of the test's broker.
            env: settings that this process shall have, by variable name.
        """
        super().__init__(
            name,
            [sys.executable, *COMMANDS[name]],
            cwd=ROOT,
            env={**os.environ, **environment(broker_url), **env},
        )


class StartService(Protocol):
    """The type of the fixture `service`."""

    def __call__(self, name: str, **env: str) -> Service: ...


@pytest.fixture
def service(broker: Broker, running: list[Worker]) -> Iterator[StartService]:
    """Start a process: `service("beat", LOG_LEVEL="DEBUG")`. All are stopped in the end.

    It asks for `running`, so that the database is emptied after that.
    """
    services: list[Service] = []

    def start(name: str, **env: str) -> Service:
        services.append(Service(name, broker.url, env))
        return services[-1]

    yield start
    for started in services:
        started.ask_to_stop()
    for started in services:
        started.stop(STOP_SECONDS)
