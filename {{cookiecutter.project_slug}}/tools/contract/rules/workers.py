"""Every queue has a worker, wherever the service is deployed."""

from collections.abc import Callable, Iterator

from tools.contract.compose import workers
from tools.contract.finding import Finding
from tools.contract.project import Project
from tools.contract.rule import rule
from tools.contract.topology import TOPOLOGY, queues
from tools.contract.worker import Worker

# The files that start workers, each with its reader. A deployment of another kind is one
# more entry here.
DEPLOYMENTS: dict[str, Callable[[Project], list[Worker]]] = {
    "docker-compose.yml": workers,
}


@rule(
    "queue-worker",
    "Without a worker a queue only grows; without its grace, one is shot.",
)
def queue_worker(project: Project) -> Iterator[Finding]:
    """Find queues without worker, workers without queue, and graces that differ."""
    for file, read in DEPLOYMENTS.items():
        if file in project.files:
            yield from _problems(project, file, read(project))


def _problems(project: Project, file: str, found: list[Worker]) -> Iterator[Finding]:
    topology = queues(project)
    for worker in found:
        for name in worker.queues:
            if name not in topology:
                problem = f"{worker.name} serves {name!r}, which is not in {TOPOLOGY}"
                yield Finding(file, worker.line, problem, "declare it there")
        known = [topology[name] for name in worker.queues if name in topology]
        grace = max((queue.shutdown_grace for queue in known), default=None)
        if known and grace != worker.grace_seconds:
            problem = f"{worker.name} has another grace than its queue"
            mend = f"write stop_grace_period: {grace}s"
            yield Finding(file, worker.line, problem, mend)
    served = {name for worker in found for name in worker.queues}
    for queue in topology.values():
        if queue.name not in served:
            problem = f"queue {queue.name!r} has no worker in {file}"
            mend = f"add a service with `python manage.py worker {queue.name}`"
            yield Finding(TOPOLOGY, queue.line, problem, mend)
