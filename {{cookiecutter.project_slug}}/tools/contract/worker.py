"""A worker as a deployment describes it."""

from typing import NamedTuple


class Worker(NamedTuple):
    """One worker.

    Attributes:
        name: of its service.
        line: where that is described.
        queues: that it serves.
        grace_seconds: from SIGTERM to SIGKILL; None if the deployment does not say.
    """

    name: str
    line: int
    queues: list[str]
    grace_seconds: int | None
