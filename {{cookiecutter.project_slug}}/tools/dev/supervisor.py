"""Several processes as one: they start together, and the end of one is the end of all."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from signal import Signals
from threading import Lock
from time import monotonic

from tools.dev.process import Process

# What a process is told to end, and the seconds it gets for it. Celery finishes its tasks
# on SIGTERM and hands them back to the broker on SIGQUIT:
# https://docs.celeryq.dev/en/stable/userguide/workers.html#stopping-the-worker
STOP_STAGES = ((Signals.SIGTERM, 10.0), (Signals.SIGQUIT, 5.0))

# Colours are for terminals; in a file they are noise.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class CannotRun(Exception):
    """The service cannot start or go on; the message says why."""


class Supervisor:
    """Starts processes, prints their output under their names, and stops them all."""

    def __init__(self, names: list[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        """Prepare.

        Args:
            names: of all processes to come, so that their output is aligned.
            cwd: working directory of all.
            env: environment of all.
        """
        self._cwd = cwd
        self._env = env
        self._width = max(len(name) for name in names)
        self._processes: list[Process] = []
        self._ended: SimpleQueue[Process] = SimpleQueue()
        self._terminal = Lock()

    def start(self, name: str, command: list[str]) -> Process:
        """Start a process that is to run until `stop()`."""
        process = self.run(name, command)
        self.watch(process)
        return process

    def run(self, name: str, command: list[str]) -> Process:
        """Start a process that may end by itself."""
        process = Process(
            name, command, cwd=self._cwd, env=self._env, on_line=self._print
        )
        self._processes.append(process)
        return process

    def watch(self, process: Process) -> None:
        """Report the end of a process, also of one that was not started here."""
        process.when_ended(self._ended.put)

    def ended(self, timeout: float | None = None) -> Process | None:
        """Wait for a process to end.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            The first one that has ended, or None after the timeout.
        """
        try:
            return self._ended.get(timeout=timeout)
        except Empty:
            return None

    def stop(self) -> None:
        """End all processes: politely, then firmly; Ctrl-C skips the waiting."""
        for number, seconds in STOP_STAGES:
            running = [p for p in self._processes if p.returncode is None]
            for process in running:
                process.signal(number)
            try:
                deadline = monotonic() + seconds
                for process in running:
                    process.wait(max(0.0, deadline - monotonic()))
            except KeyboardInterrupt:
                continue
        for process in self._processes:
            process.kill()

    def _print(self, name: str, line: str) -> None:
        if not sys.stdout.isatty():
            line = COLOUR.sub("", line)
        with self._terminal:
            print(f"{name:<{self._width}} | {line}", flush=True)
