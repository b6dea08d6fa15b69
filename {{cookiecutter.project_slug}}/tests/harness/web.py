"""The web server, as it runs in production, on the test's own database and broker."""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from config.env import env as environment_of_tests
from tests.harness.processes import ROOT, STOP_SECONDS, Worker, environment, wait_until
from tools.dev.broker import HOST, Broker, free_port
from tools.dev.process import Process

COMMAND = ["-m", "gunicorn", "--config", "python:config.gunicorn", "config.wsgi"]
TIMEOUT_SECONDS = 10


class Web(Process):
    """gunicorn with its processes."""

    def __init__(self, broker_url: str, env: dict[str, str]) -> None:
        """Start it, and return before it answers.

        Args:
            broker_url: of the test's broker.
            env: settings that it shall have, by variable name.
        """
        port = free_port()
        self._url = f"http://{HOST}:{port}"
        own = {"WEB_PORT": str(port), **environment(broker_url), **env}
        command = [sys.executable, *COMMAND]
        super().__init__("web", command, cwd=ROOT, env={**os.environ, **own})

    def answers(self) -> bool:
        """Return whether it serves requests."""
        try:
            return self.get("/healthz") == 200
        except URLError:
            return False

    def get(self, path: str) -> int:
        """Ask for a page; return the status."""
        with urlopen(self._url + path, timeout=TIMEOUT_SECONDS) as answer:
            return int(answer.status)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Call the API with its token; return what it answers."""
        token = environment_of_tests.API_TOKEN.get_secret_value()
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }
        request = Request(self._url + path, json.dumps(body).encode(), headers)
        with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return json.loads(answer.read())


class StartWeb(Protocol):
    """The type of the fixture `web`."""

    def __call__(self, **env: str) -> Web: ...


@pytest.fixture
def web(broker: Broker, running: list[Worker]) -> Iterator[StartWeb]:
    """Start the web server: `web(WEB_WORKERS="2")`; it answers when the call returns.

    It asks for `running`, so that the database is emptied after it has been stopped.
    """
    started: list[Web] = []

    def start(**env: str) -> Web:
        started.append(Web(broker.url, env))
        wait_until(started[-1].answers, processes=started)
        return started[-1]

    yield start
    for process in started:
        process.stop(STOP_SECONDS)
