"""A web server that is told to stop: first it says so, then it stops."""

import os
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.harness.processes import ROOT, environment, wait_until
from tools.dev.broker import HOST, free_port
from tools.dev.process import Process

pytestmark = pytest.mark.integration


def status(port: int, path: str) -> int:
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_stopping_server_is_not_ready_and_still_serves(tmp_path: Path) -> None:
    port = free_port()
    server = Process(
        "web",
        [
            *(sys.executable, "-m", "gunicorn"),
            *("--config", "python:config.gunicorn", "config.wsgi"),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            **environment("redis://127.0.0.1:1"),
            "WEB_PORT": str(port),
            "WEB_DRAIN_SECONDS": "3",
        },
    )
    try:
        wait_until(lambda: status(port, "/readyz") == 200, processes=[server])

        os.kill(server.pid, SIGTERM)

        wait_until(lambda: status(port, "/readyz") == 503, 2, processes=[server])
        assert status(port, "/admin/login/") == 200
        wait_until(lambda: status(port, "/healthz") == 0, 10, processes=[server])
    finally:
        server.stop(10)
