"""The fixtures of these tests: real servers, real workers."""

from tests.harness.fixtures import (
    broker,
    broker_server,
    rabbit_server,
    running,
    wait_until,
    worker,
)
from tests.harness.web import web

__all__ = [
    "broker",
    "broker_server",
    "rabbit_server",
    "running",
    "wait_until",
    "web",
    "worker",
]
