"""The queue topology: the one place that knows which queues exist.

Celery's queues and routes, the workers of `make run` and of docker-compose, and the table
in `docs/queues.md` are derived from this file or checked against it. It needs nothing but
the standard library, so that any tool can read it.
"""

import os
from dataclasses import dataclass

# Only prefork stops a task at its soft and hard limit; threads, gevent, eventlet and solo
# ignore both: https://docs.celeryq.dev/en/stable/userguide/workers.html#time-limits
POOLS_THAT_ENFORCE_TIME_LIMITS = ("prefork",)

ONE_PER_CORE = 0

# So many may have 150 MB each of the 2 GB that worker-cpu has in docker-compose.yml. On larger
# machines, start more workers, or set WORKER_CONCURRENCY and give them more memory.
MOST_PROCESSES = 12


@dataclass(frozen=True, kw_only=True)
class Queue:
    """One queue and the worker that serves it.

    Attributes:
        name: of the queue, of its worker and of its service in docker-compose.yml.
        purpose: what belongs here, for the person who picks a queue.
        pool: Celery's worker pool; it must be able to enforce the time limits.
        concurrency: pool processes of one worker; `ONE_PER_CORE` asks the machine, and
            is `MOST_PROCESSES` at most.
            `WORKER_CONCURRENCY` overrides it per deployment.
        priority: the order in which a worker that serves several queues empties them;
            0 comes first.
        soft_time_limit: seconds after which a task gets `SoftTimeLimitExceeded`.
        time_limit: seconds after which its process is killed.
        shutdown_grace: seconds from SIGTERM to SIGKILL. What a stopping worker has not
            finished shortly before goes on at another one. `WORKER_SHUTDOWN_GRACE`
            overrides it per deployment.
        drain: whether a stopping worker has the time to finish whatever it runs. If not, a
            deploy is quicker, and some work is done twice.
    """

    name: str
    purpose: str
    pool: str
    concurrency: int
    priority: int
    soft_time_limit: int
    time_limit: int
    shutdown_grace: int
    drain: bool = True

    def __post_init__(self) -> None:
        if self.pool not in POOLS_THAT_ENFORCE_TIME_LIMITS:
            raise ValueError(
                f"queue {self.name}: pool {self.pool!r} does not enforce time limits; "
                f"accepted: {', '.join(POOLS_THAT_ENFORCE_TIME_LIMITS)}"
            )
        if "." in self.name:
            raise ValueError(
                f"queue {self.name}: a dot would end a part of a routing key"
            )
        least_grace = self.time_limit if self.drain else 0
        if not (
            0 < self.soft_time_limit < self.time_limit
            and least_grace < self.shutdown_grace
        ):
            raise ValueError(
                f"queue {self.name}: expected 0 < soft_time_limit < time_limit, and "
                "time_limit < shutdown_grace unless drain=False"
            )

    def processes(self) -> int:
        """Return how many pool processes one worker starts on this machine."""
        return self.concurrency or min(os.process_cpu_count() or 1, MOST_PROCESSES)


QUEUES = (
    Queue(
        name="critical",
        purpose="someone waits for it, or money depends on it; own worker, always free",
        pool="prefork",
        concurrency=2,
        priority=0,
        soft_time_limit=25,
        time_limit=30,
        shutdown_grace=40,
    ),
    Queue(
        name="fast",
        purpose="short work: a few database rows, no network; the default",
        pool="prefork",
        concurrency=4,
        priority=1,
        soft_time_limit=25,
        time_limit=30,
        shutdown_grace=40,
    ),
    Queue(
        name="io",
        purpose="waits for slow networks: mail, webhooks, other services",
        pool="prefork",
        concurrency=8,
        priority=2,
        soft_time_limit=240,
        time_limit=300,
        shutdown_grace=310,
    ),
    Queue(
        name="cpu",
        purpose="computes: parsing, aggregation; one process per core",
        pool="prefork",
        concurrency=ONE_PER_CORE,
        priority=3,
        soft_time_limit=540,
        time_limit=600,
        shutdown_grace=610,
    ),
    Queue(
        name="maintenance",
        purpose="periodic housekeeping; may wait",
        pool="prefork",
        concurrency=1,
        priority=4,
        soft_time_limit=840,
        time_limit=900,
        shutdown_grace=60,
        drain=False,
    ),
    Queue(
        name="slow",
        purpose="long jobs of many minutes, kept away from everyone else",
        pool="prefork",
        concurrency=2,
        priority=5,
        soft_time_limit=1740,
        time_limit=1800,
        shutdown_grace=1810,
    ),
)

DEFAULT_QUEUE = "fast"

# Celery's own tasks have no decorator of ours to name a queue.
BUILT_IN_TASK_QUEUES = {"celery.backend_cleanup": "maintenance"}


def by_name(name: str) -> Queue:
    """Return the queue of that name.

    Raises:
        ValueError: if the topology has no such queue; the message lists those it has.
    """
    for queue in QUEUES:
        if queue.name == name:
            return queue
    known = ", ".join(queue.name for queue in QUEUES)
    raise ValueError(f"unknown queue {name!r}; config/queues.py has: {known}")


def route(
    name: str, args: object, kwargs: object, options: object, task: object = None
) -> dict[str, str | int] | None:
    """Send a task as its decorator says: to its `queue`, with its `priority`.

    A router (Celery's `task_routes`), because in the decorator alone these two lose their
    effect in Celery 6.0:
    https://github.com/celery/celery/pull/10453

    Args:
        name: of the task; the other arguments are part of Celery's router interface.
        args: positional arguments of the call.
        kwargs: keyword arguments of the call.
        options: of the call.
        task: the task itself; None for a name that this process does not know.

    Returns:
        Where to send it, or None for the default queue.
    """
    queue = getattr(task, "queue", None) or BUILT_IN_TASK_QUEUES.get(name)
    priority = getattr(task, "priority", None)
    if priority is not None:
        return {"queue": queue or DEFAULT_QUEUE, "priority": priority}
    return {"queue": queue} if queue else None
