"""What a process says of itself, for `probe.py`: a file that is always fresh.

A file, because it asks neither broker nor database: workers that are restarted because a
server is down make one outage two. Alive is a process whose threads run and whose main loop
goes round, waiting for a broker included; ready is one that does its work.

A thread of its own writes, because the others may wait for a server.
"""

import logging
import os
import threading
import time
from pathlib import Path

from config.env import env

log = logging.getLogger(__name__)

WRITE_SECONDS = 2.0

# A main loop that has not gone round for so long does no work.
STILL_SECONDS = 15.0

# Longer than a main loop waits for servers: to let go of a broker that is silent, a worker
# asks it about five times, one after the other.
STUCK_SECONDS = 30 + 6 * env.REDIS_TIMEOUT_SECONDS

STARTING = "starting"
STOPPING = "stopping"


class Health:
    """The state of this process. One thread turns its main loop, another writes."""

    def __init__(self, name: str, path: Path) -> None:
        """Prepare; nothing is written yet.

        Args:
            name: of the process, for people.
            path: of the file.
        """
        self._name = name
        self._path = path
        self._draft = path.with_name(f"{path.name}.{os.getpid()}")
        self._turned = time.monotonic()
        self._problem = STARTING
        self._leases_renewed = self._turned
        self._threads: list[threading.Thread] = []
        self._is_stopping = False

    def start(self) -> None:
        """Start to write."""
        self.write()
        threading.Thread(target=self._run, name="ledger-health", daemon=True).start()

    def turned(self, problem: str = "") -> None:
        """Say that the main loop went round.

        Args:
            problem: what keeps the process from its work; blank if nothing does.
        """
        self._turned = time.monotonic()
        self._problem = problem

    def leases_renewed(self) -> None:
        """Say that the runs of this worker are safe."""
        self._leases_renewed = time.monotonic()

    def watch(self, thread: threading.Thread) -> None:
        """Without this thread, the process is not alive."""
        self._threads.append(thread)
        self._leases_renewed = time.monotonic()

    def stop(self) -> None:
        """Say that the process ends, in its own time; no main loop turns then."""
        self._problem = STOPPING
        self._is_stopping = True

    def stuck(self, now: float) -> str:
        """Return why the process is not alive, or a blank."""
        if self._is_stopping:
            return ""
        for thread in self._threads:
            if not thread.is_alive():
                return f"thread {thread.name} has ended"
        still = now - self._turned
        if still > STUCK_SECONDS:
            return f"main loop stands still for {still:.0f} s"
        return ""

    def problem(self, now: float) -> str:
        """Return why the process is not at work, or a blank."""
        still = now - self._turned
        if not self._problem and still > STILL_SECONDS:
            return f"main loop stands still for {still:.0f} s"
        silent = now - self._leases_renewed
        if not self._problem and self._threads and silent > env.LEDGER_LEASE_SECONDS:
            return f"leases not renewed for {silent:.0f} s"
        return self._problem

    def write(self) -> None:
        """Write the file, in one step: nobody reads half of it."""
        now = time.monotonic()
        lines = (str(now), self._name, self.stuck(now), self.problem(now))
        try:
            self._draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
            self._draft.replace(self._path)
        except OSError:
            log.warning("health file not written", exc_info=True)

    def _run(self) -> None:
        while True:
            time.sleep(WRITE_SECONDS)
            self.write()


_health: Health | None = None


def start(name: str) -> None:
    """Begin to say how this process is, if HEALTH_FILE asks for it.

    Args:
        name: of the process, such as `io@host`.
    """
    global _health
    if env.HEALTH_FILE is not None:
        _health = Health(name, env.HEALTH_FILE)
        _health.start()


def turned(problem: str = "") -> None:
    """Say that the main loop went round; with what keeps it from its work, if anything."""
    if _health is not None:
        _health.turned(problem)


def leases_renewed() -> None:
    """Say that the runs of this worker are safe."""
    if _health is not None:
        _health.leases_renewed()


def watch(*threads: threading.Thread) -> None:
    """Name threads without which this process is not alive."""
    for thread in threads:
        if _health is not None:
            _health.watch(thread)


def stop() -> None:
    """Say that this process ends."""
    if _health is not None:
        _health.stop()
