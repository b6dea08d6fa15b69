"""Every queue of the topology has a worker in docker-compose.yml."""

from collections.abc import Iterator

from tools.contract.compose import COMPOSE, services
from tools.contract.finding import Finding
from tools.contract.project import Project
from tools.contract.topology import SECONDS, TOPOLOGY, queues


def every_queue_has_a_worker(project: Project) -> Iterator[Finding]:
    """Find queues without worker, workers without queue, and graces that differ."""
    topology = queues(project)
    served: set[str] = set()
    for service in services(project):
        known = [topology[name] for name in service.queues if name in topology]
        served.update(queue.name for queue in known)
        for name in service.queues:
            if name not in topology:
                message = f"{service.name} serves {name!r}, which {TOPOLOGY} lacks"
                yield Finding(COMPOSE, service.line, f"{message}; declare it there")
        grace = max((queue.shutdown_grace for queue in known), default=None)
        if grace != service.grace_seconds and known:
            message = f"{service.name} needs `stop_grace_period: {grace}s`"
            yield Finding(
                COMPOSE, service.line, f"{message}, its queue's shutdown_grace"
            )

    for queue in topology.values():
        if queue.name not in served:
            command = f"command: python manage.py worker {queue.name}"
            message = f"no service of {COMPOSE} has `{command}`; add one"
            yield Finding(TOPOLOGY, queue.line, f"queue {queue.name!r}: {message}")
        for field in SECONDS:
            if not getattr(queue, field):
                message = f"{field} must be a plain number of seconds"
                yield Finding(TOPOLOGY, queue.line, f"queue {queue.name!r}: {message}")
