"""What the topology does not know: how large a worker is, how many there may be.

One entry for each queue of `config/queues.py`. `make manifests` writes both into
`deploy/kubernetes/base/`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Size:
    """The workers of one queue.

    Attributes:
        cpu: processors that are kept for a worker, such as `250m` for a quarter of one.
        cpu_limit: processors that it may use.
        memory: that is kept for it, and that it may use: all its processes, of about 60 MB
            each when idle.
        min_workers: that are always there. With 0, the first run waits for a pod to start,
            and `manage.py check --deploy` misses a worker.
        max_workers: that there may be. Each of their processes is a connection to the
            database.
        runs_per_worker: runs at hand, running or due, for which one worker is enough.
        oldest_due_seconds: for which a run may wait before there are more workers.
        calls_out: whether its tasks reach the internet.
        processes: of one worker, if not as the topology says. A queue of one process per
            core needs it: a container sees all cores of its node.
        shutdown_grace: seconds from SIGTERM to SIGKILL, if not as the topology says:
            shorter where nodes go away at short notice. What is not finished by then goes on
            at another worker.
    """

    cpu: str
    cpu_limit: str
    memory: str
    min_workers: int
    max_workers: int
    runs_per_worker: int
    oldest_due_seconds: int
    calls_out: bool = False
    processes: int | None = None
    shutdown_grace: int | None = None


SIZES = {
    "critical": Size(
        cpu="250m",
        cpu_limit="1",
        memory="768Mi",
        min_workers=2,
        max_workers=10,
        runs_per_worker=10,
        oldest_due_seconds=10,
        calls_out=True,
    ),
    "fast": Size(
        cpu="250m",
        cpu_limit="1",
        memory="1Gi",
        min_workers=2,
        max_workers=10,
        runs_per_worker=100,
        oldest_due_seconds=30,
    ),
    "io": Size(
        cpu="250m",
        cpu_limit="1",
        memory="1536Mi",
        min_workers=1,
        max_workers=10,
        runs_per_worker=40,
        oldest_due_seconds=60,
        calls_out=True,
    ),
    "cpu": Size(
        cpu="2",
        cpu_limit="2",
        memory="1Gi",
        min_workers=1,
        max_workers=10,
        runs_per_worker=8,
        oldest_due_seconds=120,
        processes=2,
    ),
    "maintenance": Size(
        cpu="250m",
        cpu_limit="1",
        memory="768Mi",
        min_workers=1,
        max_workers=2,
        runs_per_worker=20,
        oldest_due_seconds=900,
        calls_out=True,
    ),
    "slow": Size(
        cpu="500m",
        cpu_limit="2",
        memory="1Gi",
        min_workers=1,
        max_workers=5,
        runs_per_worker=4,
        oldest_due_seconds=1800,
        calls_out=True,
    ),
}
