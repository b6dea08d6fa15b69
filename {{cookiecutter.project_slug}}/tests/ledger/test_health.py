"""What a process says of itself, and what the probe makes of it."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from config.env import env
from ledger.health import STILL_SECONDS, STUCK_SECONDS, Health
from probe import SILENT_SECONDS, answer
from tests.harness.processes import ROOT


@pytest.fixture
def health(tmp_path: Path) -> Health:
    return Health("io@host", tmp_path / "health")


def asked(health: Health, question: str, *, later: float = 0) -> tuple[bool, str]:
    """Ask, as if so many seconds had passed in which the process went on writing."""
    now = health._turned + later
    text = "\n".join([str(now), "io@host", health.stuck(now), health.problem(now), ""])
    return answer(question, text, now)


def test_new_process_has_started_and_lives_and_is_not_ready(health: Health) -> None:
    assert asked(health, "started")[0]
    assert asked(health, "live")[0]
    assert asked(health, "ready") == (False, "io@host: starting")


def test_process_whose_main_loop_turns_is_at_work(health: Health) -> None:
    health.turned()

    assert asked(health, "ready") == (True, "io@host: at work")


def test_process_that_waits_for_its_broker_lives_and_is_not_ready(
    health: Health,
) -> None:
    health.turned("the broker does not answer")

    assert asked(health, "live")[0]
    assert asked(health, "ready") == (False, "io@host: the broker does not answer")


def test_process_whose_main_loop_stands_still_is_not_alive(health: Health) -> None:
    health.turned()

    assert asked(health, "live", later=STUCK_SECONDS)[0]
    assert asked(health, "live", later=STUCK_SECONDS + 1) == (
        False,
        f"io@host: main loop stands still for {STUCK_SECONDS + 1:.0f} s",
    )


def test_process_whose_main_loop_stands_still_for_a_while_lives_and_is_not_ready(
    health: Health,
) -> None:
    health.turned()

    assert asked(health, "ready", later=STILL_SECONDS)[0]
    assert asked(health, "live", later=STILL_SECONDS + 1)[0]
    assert asked(health, "ready", later=STILL_SECONDS + 1) == (
        False,
        "io@host: main loop stands still for 16 s",
    )


def test_process_that_stops_may_take_its_time(health: Health) -> None:
    health.turned()
    health.stop()

    assert asked(health, "live", later=STUCK_SECONDS + 1)[0]
    assert not asked(health, "ready")[0]


def test_process_that_lost_a_thread_is_not_alive(health: Health) -> None:
    thread = threading.Thread(target=int, name="ledger-heartbeat")
    thread.start()
    thread.join()
    health.watch(thread)

    assert asked(health, "live") == (
        False,
        "io@host: thread ledger-heartbeat has ended",
    )


def test_worker_that_cannot_renew_its_leases_lives_and_is_not_ready(
    health: Health,
) -> None:
    health.watch(threading.current_thread())
    health.turned()

    assert asked(health, "ready")[0]
    assert asked(health, "live", later=env.LEDGER_LEASE_SECONDS + 1)[0]
    assert not asked(health, "ready", later=env.LEDGER_LEASE_SECONDS + 1)[0]


@pytest.mark.parametrize("question", ["started", "live", "ready"])
def test_file_that_is_not_fresh_says_nothing(question: str) -> None:
    text = "100.0\nio@host\n\n\n"

    assert answer(question, text, now=100 + SILENT_SECONDS)[0]
    assert not answer(question, text, now=101 + SILENT_SECONDS)[0]
    assert not answer(question, text, now=99)[0], "written before the machine started"


def probe(*arguments: str, file: Path | str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", "probe.py", *arguments]
    env = {"HEALTH_FILE": str(file)}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


def test_probe_reads_what_a_process_writes(tmp_path: Path) -> None:
    file = tmp_path / "health"
    Health("io@host", file).write()

    found = probe("live", file=file)

    assert (found.returncode, found.stdout) == (0, "io@host: starting\n")


def test_probe_says_no_without_a_file(tmp_path: Path) -> None:
    found = probe("started", file=tmp_path / "health")

    assert found.returncode == 1
    assert found.stdout.startswith("not started; a web server is asked by: web PORT")


@pytest.mark.parametrize(("status", "code"), [("200 OK", 0), ("503 No", 1)])
def test_probe_repeats_what_a_web_server_answers(status: str, code: int) -> None:
    body = '{"status": "as it is"}'

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\r\n"
            connection.sendall(f"{head}{body}".encode())

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        port = str(server.getsockname()[1])
        found = probe("web", port, "/readyz", file="")

    assert found.returncode == code
    assert found.stdout == f"web: HTTP/1.1 {status} {body}\n"


def test_probe_says_which_questions_there_are(tmp_path: Path) -> None:
    found = probe("alive", file=tmp_path)

    assert found.returncode == 2
    assert "expected: live, ready, started" in found.stdout


def test_probe_imports_nothing_that_takes_time() -> None:
    command = [
        sys.executable,
        "-I",
        "-S",
        "-X",
        "importtime",
        "probe.py",
        "live",
    ]

    found = subprocess.run(command, cwd=ROOT, env={}, capture_output=True, text=True)

    imported = {line.rpartition("|")[2].strip() for line in found.stderr.splitlines()}
    assert "os" in imported
    assert not imported & {"django", "celery", "ledger", "config", "json", "pathlib"}
