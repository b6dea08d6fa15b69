"""The faults of the soak: each breaks something, and says when it mends it again."""

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

from django.db import connection

from tests.harness.broker import flush
from tests.harness.own_broker import OwnBroker
from tests.harness.own_postgres import OwnPostgres
from tests.harness.processes import Worker
from tests.harness.proxy import Proxy

WORKERS = 3


@dataclass
class Service:
    """All that can be broken.

    Attributes:
        start_worker: starts one more, without waiting until it is ready.
        broker: Redis or RabbitMQ.
        proxy: between the broker and everyone else.
        postgres: None on SQLite.
        random: decides on all that is left to chance.
        lease: of the workers, in seconds.
        workers: those that should run; `supervise` replaces them.
        faults: how often each of them was injected.
    """

    start_worker: Callable[[], Worker]
    broker: OwnBroker
    proxy: Proxy
    postgres: OwnPostgres | None
    random: Random
    lease: float
    workers: list[Worker] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    _deck: list[Callable[[], Any]] = field(default_factory=list)
    _repairs: list[tuple[float, Callable[[], Any]]] = field(default_factory=list)

    def supervise(self) -> None:
        """Replace workers that have ended, and make the repairs that are due."""
        alive = [worker for worker in self.workers if worker.returncode is None]
        self.workers = alive
        while len(self.workers) < WORKERS:
            self.workers.append(self.start_worker())
        due = [repair for at, repair in self._repairs if at <= time.monotonic()]
        self._repairs = [item for item in self._repairs if item[1] not in due]
        for repair in due:
            repair()

    def break_something(self) -> str:
        """Inject one fault and return its name; none comes again before all others."""
        if not self._deck:
            self._deck = self._possible()
            self.random.shuffle(self._deck)
        fault = self._deck.pop()
        fault()
        name = fault.__name__.replace("_", " ")
        self.faults[name] += 1
        return name

    def repair_all(self) -> None:
        """End what is still broken."""
        for _, repair in self._repairs:
            repair()
        self._repairs.clear()

    def _possible(self) -> list[Callable[[], Any]]:
        faults = [
            self.kill_worker,
            self.kill_pool_process,
            self.deploy_worker,
            self.deploy_all,
            self.restart_broker,
            self.flush_broker,
            self.reset_connections,
            self.black_hole,
            self.slow_network,
        ]
        if self.postgres is not None:
            # A stopped process may hold SQLite's only write lock.
            faults += [self.stop_worker_past_lease, self.crash_postgresql]
        return faults

    def _later(self, seconds: float, repair: Callable[[], Any]) -> None:
        self._repairs.append((time.monotonic() + seconds, repair))

    def kill_worker(self) -> None:
        self.random.choice(self.workers).kill()

    def kill_pool_process(self) -> None:
        if children := _children(self.random.choice(self.workers).pid):
            with suppress(ProcessLookupError):  # has just ended
                os.kill(self.random.choice(children), SIGKILL)

    def stop_worker_past_lease(self) -> None:
        worker = self.random.choice(self.workers)

        def go_on() -> None:
            with suppress(ProcessLookupError):  # was killed meanwhile
                worker.signal_all(SIGCONT)

        with suppress(ProcessLookupError):
            worker.signal_all(SIGSTOP)
            self._later(self.lease + 2, go_on)

    def deploy_worker(self) -> None:
        self.random.choice(self.workers).ask_to_stop()

    def deploy_all(self) -> None:
        for worker in self.workers:
            worker.ask_to_stop()

    def restart_broker(self) -> None:
        self.broker.kill()
        self.broker.start()

    def flush_broker(self) -> None:
        flush(self.broker.url)

    def reset_connections(self) -> None:
        self.proxy.reset()

    def black_hole(self) -> None:
        self.proxy.black_hole()
        self._later(4, self.proxy.heal)

    def slow_network(self) -> None:
        self.proxy.delay(0.05)
        self._later(4, lambda: self.proxy.delay(0))

    def crash_postgresql(self) -> None:
        assert self.postgres is not None
        self.postgres.crash()
        self.postgres.start()
        connection.close()  # this process's own, which died with the server


def _children(parent: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True
    )
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [int(pid) for pid, ppid in pairs if int(ppid) == parent]
