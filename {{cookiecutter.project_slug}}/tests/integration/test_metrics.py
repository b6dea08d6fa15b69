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
from tests.harness.processes import ROOT, STOP_SECONDS, Worker, environment
from tests.harness.web import StartWeb
from tools.dev.broker import HOST, Broker, free_port
from tools.dev.process import Process

pytestmark = pytest.mark.integration

REQUESTS = "django_http_responses_total_by_status_view_method_total"


def read(port: int) -> list[tuple[str, dict[str, str], float]]:
    """Return all figures that are served on a port; none while nobody listens."""
    try:
        with urlopen(f"http://{HOST}:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except URLError:
        return []
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def total(port: int, wanted: str, **labels: str) -> float:
    return sum(
        value
        for name, found, value in read(port)
        if name == wanted and labels.items() <= found.items()
    )


@pytest.fixture
def exporter(broker: Broker, running: list[Worker]) -> Iterator[tuple[int, Process]]:
    """The port of `manage.py metrics`, and its process."""
    port = free_port()
    process = Process(
        "metrics",
        [sys.executable, "manage.py", "metrics"],
        cwd=ROOT,
        env={**os.environ, **environment(broker.url), "METRICS_PORT": str(port)},
    )
    yield port, process
    process.stop(STOP_SECONDS)


def test_one_address_tells_of_the_work_and_of_the_workers_of_all_hosts(
    exporter: tuple[int, Process], worker: StartWorker, wait_until: WaitUntil
) -> None:
    port, process = exporter
    wait_until(lambda: read(port))
    worker("io")

    wait_until(lambda: total(port, "queue_workers", queue="io") == 1)
    prune.apply_async(queue="io")

    wait_until(lambda: total(port, "task_succeeded_total", queue="io") == 1)
    assert total(port, "worker_processes", queues="io") == 8
    if sys.platform == "linux":
        assert total(port, "worker_memory_bytes", queues="io") > 50_000_000
    assert process.stop(STOP_SECONDS) == 0


def test_requests_are_counted_over_all_processes_of_the_web_server(
    web: StartWeb, wait_until: WaitUntil
) -> None:
    port = free_port()
    served = web(WEB_METRICS_PORT=str(port), WEB_WORKERS="2")
    labels = {"view": "admin:login", "status": "200", "method": "GET"}

    for _ in range(30):
        assert served.get("/admin/login/") == 200

    assert total(port, REQUESTS, **labels) == 30
    assert total(port, REQUESTS) == 30  # and none of the probes
