"""One child process: started in a session of its own, read line by line, surely stopped."""

import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Condition, Thread

LEASH = Path(__file__).with_name("leash.py")

# Long enough for the story of a failure, short enough for a service that runs for days.
LINES_KEPT = 10_000


class Process:
    """A running program and everything that it has printed.

    It has a session of its own, so that Ctrl-C in the terminal reaches only its owner,
    which then stops it in good order. On Linux it dies with its owner's thread; start it
    from the main thread.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdin: str = "",
        on_line: Callable[[str, str], None] | None = None,
    ) -> None:
        """Start the program.

        Args:
            name: for messages and for `on_line`.
            command: program and arguments.
            cwd: working directory.
            env: the whole environment.
            stdin: text that it reads; the place for a secret, because every user of the
                machine can read a command line.
            on_line: called with the name and every line of output, from another thread.
        """
        self.name = name
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._changed = Condition()
        self._output_ended = False
        self._asked = False
        self._on_line = on_line
        leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid())]
        self._popen = subprocess.Popen(
            [*leash, *command],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        self._waiter = Thread(target=self._popen.wait, daemon=True)
        self._waiter.start()
        # A program that is gone already shows in its exit status, not here.
        with suppress(BrokenPipeError), self._popen.stdin or nullcontext() as pipe:
            if pipe is not None:
                pipe.write(stdin)

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while the process runs."""
        return self._popen.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end.

        Args:
            timeout: seconds.

        Returns:
            The exit status, or None if the process still runs.
        """
        self._waiter.join(timeout)
        return self.returncode

    def when_ended(self, callback: Callable[["Process"], None]) -> None:
        """Call back once the process has ended, at once if it has; in another thread."""

        def watch() -> None:
            self.wait()
            callback(self)

        Thread(target=watch, daemon=True).start()

    def wait_for_line(self, pattern: str, timeout: float) -> str:
        """Wait until the process has printed a line that the pattern is found in.

        Args:
            pattern: a regular expression.
            timeout: seconds.

        Returns:
            The first such line among those kept.

        Raises:
            TimeoutError: also at once if the process ends without it; has the log's tail.
        """
        wanted = re.compile(pattern)

        def found() -> str | None:
            return next((line for line in self._lines if wanted.search(line)), None)

        with self._changed:
            self._changed.wait_for(
                lambda: found() is not None or self._output_ended, timeout
            )
            line = found()
        if line is None:
            if self._output_ended:
                self.wait(1)  # its status belongs into the message
            raise TimeoutError(f"no {pattern!r} within {timeout} s; {self.tail()}")
        return line

    def output(self) -> list[str]:
        """Return the lines that it has printed so far, the last 10,000 at most."""
        with self._changed:
            return list(self._lines)

    def tail(self, count: int = 40) -> str:
        """Return how the process is and its last lines, for a failure message."""
        code = self.returncode
        state = "runs" if code is None else f"ended with status {code}"
        last = self.output()[-count:]
        return "\n  ".join([f"{self.name} {state}, its last lines:", *last])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, not to its children."""
        self._popen.send_signal(number)

    def ask_to_stop(self) -> None:
        """Send SIGTERM, once: to many programs a second one means to hurry."""
        if not self._asked:
            self._asked = True
            self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and every descendant that stayed in its session."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing is left
        self._waiter.join()
        self._reader.join(timeout=5)

    def stop(self, grace: float) -> int | None:
        """Ask the process to end, unless it was asked before, then make sure that it has.

        Args:
            grace: seconds between SIGTERM and SIGKILL.

        Returns:
            The exit status.
        """
        self.ask_to_stop()
        self.wait(grace)
        self.kill()
        return self.returncode

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as output:
            for line in output:
                self._append(line.rstrip("\n"))
        with self._changed:
            self._output_ended = True
            self._changed.notify_all()

    def _append(self, line: str) -> None:
        with self._changed:
            self._lines.append(line)
            self._changed.notify_all()
        if self._on_line is not None:
            self._on_line(self.name, line)
