"""`python -m tools.dev.run`, or `make run`: the whole service on one terminal.

Web, one worker per queue, beat, and a broker if none is given. Whatever ends, ends
everything: Ctrl-C and SIGTERM stop all in good order with status 0; a process that dies
takes the others down with status 1.
"""

import fcntl
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from django.core.exceptions import ImproperlyConfigured

from tools.dev.broker import BrokerUnavailable
from tools.dev.supervisor import CannotRun

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK_FILE = ROOT / "var" / "run.lock"


def main() -> int:
    """Run the service until it is told to stop.

    Returns:
        The exit status.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with _only_one():
            # Imported here because it reads the environment, whose errors we explain.
            from tools.dev import service

            service.run()
    except KeyboardInterrupt:
        print("Stopped.", flush=True)
        return 0
    except (CannotRun, BrokerUnavailable, ImproperlyConfigured) as error:
        print(f"make run: {error}", file=sys.stderr, flush=True)
        return 1


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _only_one() -> Iterator[None]:
    """Refuse to run twice in one folder, where both would use the same files."""
    LOCK_FILE.parent.mkdir(exist_ok=True)
    with LOCK_FILE.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(f"already runs in {ROOT}") from None
        yield


if __name__ == "__main__":
    sys.exit(main())
