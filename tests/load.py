"""A load balancer with requests to spare: what is in front of the service in production."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from tests.stack import PORTS, Stack

CHECK_SECONDS = 0.5
PAUSE_SECONDS = 0.4
CLIENTS = 3
CASES = 3


class Load:
    """Sends reports, each to a server whose `/readyz` said yes when it was last asked.

    As load balancers do, it tries the next server if one refuses the connection, because
    nothing was sent then. Whatever else goes wrong is a failed request.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._ports = range(stack.port, stack.port + PORTS)
        self._ready: list[int] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.accepted: list[int] = []
        self.failed: list[str] = []
        self.served: Counter[int] = Counter()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send requests for as long as the block runs."""
        self._check()
        threads = [threading.Thread(target=self._check_again_and_again)]
        threads += [threading.Thread(target=self._send) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _check_again_and_again(self) -> None:
        while not self._stop.wait(CHECK_SECONDS):
            self._check()

    def _check(self) -> None:
        self._ready = [port for port in self._ports if self._stack.is_ready(port)]

    def _send(self) -> None:
        turn = 0
        while not self._stop.wait(PAUSE_SECONDS):
            turn += 1
            ready = self._ready
            order = (
                ready[turn % len(ready) :] + ready[: turn % len(ready)] if ready else []
            )
            self._send_one(order)

    def _send_one(self, order: list[int]) -> None:
        started = time.strftime("%H:%M:%S")
        problem = "no server is ready"
        for port in order:
            try:
                status, answer = self._stack.send_report(port, CASES)
            except ConnectionRefusedError as error:
                problem = f"{port}: {error!r}"
                continue
            except OSError as error:
                problem = f"{port}: {error!r}"
                break
            with self._lock:
                if status == HTTPStatus.ACCEPTED:
                    self.accepted.append(answer["id"])
                    self.served[port] += 1
                    return
            problem = f"{port}: {status} {answer}"
            break
        with self._lock:
            self.failed.append(f"{started} {problem}")
