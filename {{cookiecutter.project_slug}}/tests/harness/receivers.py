"""A real HTTP server that receives webhooks and answers as a test tells it to."""

import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from threading import Condition, Event, Thread
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request as it arrived: its headers (names in lower case) and its JSON body."""

    headers: dict[str, str]
    body: Any


@dataclass
class Receiver:
    """What a test sees of the server.

    Attributes:
        url: where to send webhooks.
        requests: all that arrived, in order.
        answers: status codes for the next requests; 200 once they are used up.
        release: cleared by `hold()`; requests wait for it before they are answered.
    """

    url: str
    requests: list[Received] = field(default_factory=list)
    answers: deque[int] = field(default_factory=deque)
    release: Event = field(default_factory=Event)
    _to_hold: float = 0
    _arrived: Condition = field(default_factory=Condition)

    def hold(self, count: float = inf) -> None:
        """Let requests arrive but not be answered, until `release.set()`.

        Args:
            count: how many of the next ones; later ones are answered at once.
        """
        self._to_hold = count
        self.release.clear()

    def wait_for(self, count: int, timeout: float = 30) -> None:
        """Wait until so many requests have arrived in all.

        Args:
            count: requests since the start of the server.
            timeout: seconds.

        Raises:
            TimeoutError: saying how many arrived.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout):
                arrived = len(self.requests)
                raise TimeoutError(f"{arrived} of {count} requests after {timeout} s")

    def _record(self, request: Received) -> int:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
            status = self.answers.popleft() if self.answers else 200
            held = self._to_hold > 0
            self._to_hold -= 1
        if held:
            self.release.wait()
        return status


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port of the loopback interface."""
    receiver = Receiver(url="")
    receiver.release.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(self.rfile.read(length))
            status = receiver._record(Received(headers, body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
