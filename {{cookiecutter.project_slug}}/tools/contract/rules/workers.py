"""Every queue has a worker, wherever the service is deployed."""

from collections.abc import Iterator

from tools.contract import compose
from tools.contract.deployments import DEPLOYMENTS
from tools.contract.finding import Finding
from tools.contract.project import Project
from tools.contract.rule import rule
from tools.contract.topology import TOPOLOGY, queues
from tools.contract.worker import Deployment


@rule(
    "queue-worker",
    "Without a worker a queue only grows; without its grace, one is shot.",
)
def queue_worker(project: Project) -> Iterator[Finding]:
    """Find queues without worker, workers without queue or stage, and graces that differ."""
    for file, deployment in DEPLOYMENTS.items():
        if file in project.files:
            yield from _problems(project, file, deployment)
    for overlay in compose.OVERLAYS:
        if overlay in project.files:
            yield from _left_out(project, overlay)


def _left_out(project: Project, overlay: str) -> Iterator[Finding]:
    known = {service.name for service in compose.services(project, overlay)}
    for worker in compose.workers(project):
        if worker.name not in known:
            problem = f"{worker.name} is missing in {overlay}"
            mend = "add it there, as the other workers are"
            yield Finding(compose.COMPOSE, worker.line, problem, mend)


def _problems(project: Project, file: str, deployment: Deployment) -> Iterator[Finding]:
    topology = queues(project)
    found = deployment.workers(project)
    for worker in found:
        for name in worker.queues:
            if name not in topology:
                problem = f"{worker.name} serves {name!r}, which is not in {TOPOLOGY}"
                yield Finding(file, worker.line, problem, "declare it there")
        known = [topology[name] for name in worker.queues if name in topology]
        grace = max((queue.shutdown_grace for queue in known), default=None)
        if worker.told_seconds is not None:
            grace = worker.told_seconds
        if known and grace != worker.grace_seconds:
            problem = f"{worker.name} has another grace than its queue"
            mend = f"write {deployment.grace.format(grace)}"
            yield Finding(file, worker.line, problem, mend)
    served = {name for worker in found for name in worker.queues}
    for queue in topology.values():
        if queue.name not in served:
            problem = f"queue {queue.name!r} has no worker in {file}"
            mend = f"add {deployment.worker.format(queue.name)}"
            yield Finding(TOPOLOGY, queue.line, problem, mend)
