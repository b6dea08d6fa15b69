"""Metrics over HTTP, of real processes."""

import os
import sys
from collections.abc import Iterator
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ledger.tasks import prune
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.processes import ROOT, STOP_SECONDS, environment
from tools.dev.broker import HOST, Broker, free_port
from tools.dev.process import Process

pytestmark = pytest.mark.integration

REQUESTS = "django_http_responses_total_by_status_view_method_total"


class Server(Process):
    """A process of the service that serves metrics on a port of its own."""

    def __init__(self, name: str, command: list[str], env: dict[str, str]) -> None:
        self.port = free_port()
        ports = {"METRICS_PORT": str(self.port), "WEB_METRICS_PORT": str(self.port)}
        super().__init__(
            name,
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **ports, **env},
        )

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        with urlopen(f"http://{HOST}:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def answers(self) -> bool:
        try:
            return bool(self.metrics())
        except URLError:
            return False

    def total(self, name: str, **labels: str) -> float:
        wanted = labels.items()
        return sum(
            value
            for (found, all_labels), value in self.metrics().items()
            if found == name and wanted <= dict(all_labels).items()
        )


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """What a test has started; all of it is stopped."""
    started: list[Server] = []
    yield started
    for server in started:
        server.ask_to_stop()
        server.stop(STOP_SECONDS)


def test_one_address_tells_of_the_work_and_of_the_workers_of_all_hosts(
    broker: Broker,
    worker: StartWorker,
    wait_until: WaitUntil,
    servers: list[Server],
) -> None:
    metrics = Server("metrics", ["manage.py", "metrics"], environment(broker.url))
    servers.append(metrics)
    wait_until(metrics.answers)
    worker("io")

    wait_until(lambda: metrics.total("queue_workers", queue="io") == 1)
    prune.apply_async(queue="io")

    wait_until(lambda: metrics.total("task_succeeded_total", queue="io") == 1)
    assert metrics.total("worker_processes", queues="io") == 8
    if sys.platform == "linux":
        assert metrics.total("worker_memory_bytes", queues="io") > 50_000_000
    servers.remove(metrics)
    metrics.ask_to_stop()
    assert metrics.wait(STOP_SECONDS) == 0


def test_requests_are_counted_over_all_processes_of_the_web_server(
    broker: Broker, wait_until: WaitUntil, servers: list[Server]
) -> None:
    port = str(free_port())
    command = ["-m", "gunicorn", "--config", "python:config.gunicorn", "config.wsgi"]
    settings = {**environment(broker.url), "WEB_PORT": port, "WEB_WORKERS": "2"}
    web = Server("web", command, settings)
    servers.append(web)
    wait_until(web.answers)

    def web_answers() -> bool:
        try:
            return bool(urlopen(f"http://{HOST}:{port}/healthz", timeout=10).read())
        except URLError:
            return False

    wait_until(web_answers)
    for _ in range(30):
        assert web_answers()

    assert web.total(REQUESTS, view="healthz", status="200", method="GET") == 31
