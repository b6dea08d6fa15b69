"""Bake a service, install it, start it, import a real test report, and stop it again.

Everything happens in a temporary folder, as a user would do it: `make install`, `make run`,
`make import`. Without a report of one's own, the service's own tests write one. With
DATABASE_URL and REDIS_URL in the environment, the service uses those servers.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import IO, NoReturn

ROOT = Path(__file__).resolve().parent.parent

# Real tests that need no server, enough of them for a report worth importing.
REPORTING_TESTS = "tests/app/services"

# `make run` prints these, see tools/dev of the generated project.
READY = "Ready. "
STOPPED = "Stopped."
READY_SECONDS = 180
STOP_SECONDS = 60
POLL_SECONDS = 0.1

LINES_SHOWN = 40

INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# What the make that called us tells its own children is not for the service's make.
FOREIGN = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "REPORT", "VIRTUAL_ENV")


class DemoFailed(Exception):
    """A step failed; the message says which and why."""


def main(report: Path | None) -> int:
    """Run the demo.

    Args:
        report: a JUnit XML file; None lets the service's tests write one.

    Returns:
        The exit status.
    """
    for number in INTERRUPTIONS:
        signal.signal(number, _interrupt)
    scratch = Path(tempfile.mkdtemp(prefix="demo-"))
    try:
        _demonstrate(scratch, report)
    except DemoFailed as error:
        print(f"\nmake demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nmake demo: interrupted", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _demonstrate(scratch: Path, report: Path | None) -> None:
    if report is not None and not report.is_file():
        raise DemoFailed(f"REPORT={report} is not a file")
    with _step(f"Baking a service into {scratch}"):
        bake = [sys.executable, "-m", "cookiecutter", "--no-input", str(ROOT)]
        bake += ["--output-dir", str(scratch), "include_samples=yes"]
        _run(bake, cwd=scratch, env=os.environ)
    [service] = scratch.iterdir()
    env = _environment(service)
    with _step("Installing it (make install)"):
        _run(["make", "install"], cwd=service, env=env)
    if report is None:
        report = scratch / "report.xml"
        with _step("Running its tests, which write the report (make test)"):
            options = f"--junitxml={report} {REPORTING_TESTS}"
            _run(["make", "test", f"PYTEST_ARGS={options}"], cwd=service, env=env)
    with _service(service, env, scratch / "run.log"):
        print(f"Importing {report.name} (make import)", flush=True)
        summary = _import(service, env, report)
    # Last, so that nothing of the stopping comes after it.
    print(summary, flush=True)


def _environment(service: Path) -> dict[str, str]:
    """Return the environment of the service: ours, with a port that is free."""
    env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    # The uv that the template has fetched serves the service, too.
    env["PATH"] = f"{env.get('PATH', os.defpath)}:{ROOT / '.uv' / 'bin'}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        env["WEB_PORT"] = str(probe.getsockname()[1])
    return env


@contextmanager
def _step(title: str) -> Iterator[None]:
    """Say what happens, and then how long it took."""
    print(f"{title} … ", end="", flush=True)
    begin = monotonic()
    yield
    print(f"{monotonic() - begin:.1f} s", flush=True)


def _run(command: list[str], *, cwd: Path, env: Mapping[str, str]) -> None:
    with _started(command, cwd, env, subprocess.PIPE) as process:
        output, _ = process.communicate()
    if process.returncode:
        _fail(f"`{' '.join(command)}` ended with {process.returncode}", output)


@contextmanager
def _started(
    command: list[str],
    cwd: Path,
    env: Mapping[str, str],
    output: int | IO[str],
    errors: int | None = subprocess.STDOUT,
) -> Iterator[subprocess.Popen[str]]:
    """Run a command that ends with the block, at the latest, and all its children too.

    It has a session of its own, so that Ctrl-C is passed on by us: once, and in time.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for number in INTERRUPTIONS:
            signal.signal(number, signal.SIG_IGN)  # the end shall be complete
        _stop(process)
        for number in INTERRUPTIONS:
            signal.signal(number, _interrupt)


def _fail(what: str, output: str) -> NoReturn:
    tail = output.splitlines()[-LINES_SHOWN:]
    raise DemoFailed("\n  ".join([f"{what}; the end of its output:", *tail]))


@contextmanager
def _service(service: Path, env: Mapping[str, str], log: Path) -> Iterator[None]:
    """Keep the service running; its end must be as orderly as its start."""
    with log.open("w") as output, ExitStack() as end:
        running = end.enter_context(_started(["make", "run"], service, env, output))
        with _step("Starting web, workers, beat and a broker (make run)"):
            _wait_until_ready(running, log)
        yield
        with _step("Stopping everything"):
            end.close()
    if not log.read_text().rstrip().endswith(STOPPED):
        _fail("the service did not stop in good order", log.read_text())


def _wait_until_ready(running: subprocess.Popen[str], log: Path) -> None:
    deadline = monotonic() + READY_SECONDS
    while READY not in log.read_text():
        if running.poll() is not None:
            _fail(f"`make run` ended with {running.returncode}", log.read_text())
        if monotonic() > deadline:
            _fail(f"`make run` is not ready after {READY_SECONDS} s", log.read_text())
        sleep(POLL_SECONDS)


def _stop(process: subprocess.Popen[str]) -> None:
    """Send what Ctrl-C sends, and make sure that it has worked."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _import(service: Path, env: Mapping[str, str], report: Path) -> str:
    """Import with a live progress bar; returns the last line of the summary."""
    command = ["make", "import", f"REPORT={report.resolve()}"]
    with _started(command, service, env, subprocess.PIPE, errors=None) as process:
        last = ""
        for line in process.stdout or ():
            if last:
                print(last, flush=True)
            last = line.rstrip("\n")
        process.wait()
    if process.returncode:
        raise DemoFailed(f"`make import` ended with {process.returncode}: {last}")
    return last


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, default=os.environ.get("REPORT") or None)
    sys.exit(main(parser.parse_args().report))
