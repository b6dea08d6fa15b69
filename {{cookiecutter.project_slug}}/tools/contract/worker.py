"""A worker as a deployment describes it."""

from collections.abc import Callable
from typing import NamedTuple

from tools.contract.project import Project


class Worker(NamedTuple):
    """One worker.

    Attributes:
        name: of its service.
        line: where that is described.
        queues: that it serves.
        grace_seconds: from SIGTERM to SIGKILL; None if the deployment does not say.
        told_seconds: what it is told of that itself, by WORKER_SHUTDOWN_GRACE; None if it
            goes by the topology.
    """

    name: str
    line: int
    queues: list[str]
    grace_seconds: int | None
    told_seconds: int | None = None


class Deployment(NamedTuple):
    """A file that starts workers.

    Attributes:
        workers: reads them from it, in the order of the file.
        grace: how it says their grace, with `{}` for the seconds.
        worker: how it describes one, with `{}` for the queue.
    """

    workers: Callable[[Project], list[Worker]]
    grace: str
    worker: str
