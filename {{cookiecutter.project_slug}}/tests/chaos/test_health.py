"""A probe restarts what is stuck, and only that: never for a server that is down."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest

from ledger.health import STUCK_SECONDS
from probe import SILENT_SECONDS
from tests.harness.broker import command, through
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.own_broker import OwnBroker
from tests.harness.processes import ROOT
from tests.harness.proxy import Proxy
from tests.harness.services import StartService, service
from tools.dev.broker import Broker

__all__ = ["service"]

pytestmark = pytest.mark.chaos

Probe = Callable[[str], bool]

# Beyond what the probe waits for, for slow machines.
PATIENCE = 15

# Mostly at once; but now and then nothing tells that the connection has ended, and RabbitMQ's
# heartbeats find out: after 50 seconds at most.
NOTICED_SECONDS = 60

# A main loop that stood still would be noticed.
OUTAGE_SECONDS = int(STUCK_SECONDS) + 10


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "health"


@pytest.fixture
def says(file: Path) -> Probe:
    def ask(question: str) -> bool:
        command = [sys.executable, "-I", "-S", "probe.py", question]
        env = {"HEALTH_FILE": str(file)}
        return subprocess.run(command, cwd=ROOT, env=env).returncode == 0

    return ask


def test_stopped_worker_is_not_alive(
    worker: StartWorker, wait_until: WaitUntil, file: Path, says: Probe
) -> None:
    running = worker("fast", HEALTH_FILE=str(file))
    wait_until(lambda: says("ready"))

    running.signal_all(SIGSTOP)
    wait_until(lambda: not says("live"), SILENT_SECONDS + PATIENCE)

    running.signal_all(SIGCONT)
    wait_until(lambda: says("ready"))


def test_worker_without_its_broker_is_alive_and_not_ready(
    own: OwnBroker,
    durable_worker: StartWorker,
    wait_until: WaitUntil,
    file: Path,
    says: Probe,
) -> None:
    worker = durable_worker(broker_url=own.url, HEALTH_FILE=str(file))
    wait_until(lambda: says("ready"))

    own.kill()
    wait_until(lambda: not says("ready"), NOTICED_SECONDS)
    for _ in range(OUTAGE_SECONDS):
        assert says("live"), worker.tail()
        time.sleep(1)  # nothing happens, and that is the point

    own.start()
    wait_until(lambda: says("ready"), 60)


def test_main_loop_goes_round_while_the_broker_is_silent(
    proxy: Proxy,
    broker: Broker,
    durable_worker: StartWorker,
    wait_until: WaitUntil,
    file: Path,
    says: Probe,
) -> None:
    durable_worker(broker_url=through(proxy, broker.url), HEALTH_FILE=str(file))
    wait_until(lambda: says("ready"))

    proxy.black_hole()

    wait_until(lambda: "broker does not answer" in file.read_text(), NOTICED_SECONDS)


def test_worker_that_starts_without_its_broker_has_started(
    worker: StartWorker, wait_until: WaitUntil, file: Path, says: Probe
) -> None:
    nobody = "redis://127.0.0.1:1"

    worker("fast", ready=False, broker_url=nobody, HEALTH_FILE=str(file))

    wait_until(lambda: says("started"))
    assert says("live") and not says("ready")


def test_worker_whose_main_thread_is_stuck_is_not_alive(
    durable_worker: StartWorker, wait_until: WaitUntil, file: Path, says: Probe
) -> None:
    durable_worker(HEALTH_FILE=str(file))
    wait_until(lambda: says("ready"))

    command("stand_still")

    wait_until(lambda: not says("live"), STUCK_SECONDS + PATIENCE)


@pytest.mark.parametrize("name", ["beat", "relay"])
def test_stopped_beat_or_relay_is_not_alive(
    service: StartService, wait_until: WaitUntil, file: Path, says: Probe, name: str
) -> None:
    running = service(name, HEALTH_FILE=str(file))
    wait_until(lambda: says("ready"))

    running.signal(SIGSTOP)
    wait_until(lambda: not says("live"), SILENT_SECONDS + PATIENCE)
