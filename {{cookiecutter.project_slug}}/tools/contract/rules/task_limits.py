"""Every task names a queue of the topology and keeps within its time limits."""

from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.project import Project
from tools.contract.syntax import literal
from tools.contract.tasks import Task, tasks
from tools.contract.topology import TOPOLOGY, Queue, queues


def every_task_fits_its_queue(project: Project) -> Iterator[Finding]:
    """Find tasks whose queue is unknown, or whose limits their queue does not allow."""
    topology = queues(project)
    for task in tasks(project):
        for message in _problems(task, topology):
            yield Finding(task.path, task.line, f"task {task.function}: {message}")


def _problems(task: Task, topology: dict[str, Queue]) -> Iterator[str]:
    declared = task.declared
    if "queue" in declared:
        name = literal(declared["queue"])
        if name not in topology:
            known = ", ".join(topology)
            yield f"queue {name!r} is not in {TOPOLOGY}; take one of {known}"
    soft, hard = _seconds(task, "soft_time_limit"), _seconds(task, "time_limit")
    for option, seconds in (("soft_time_limit", soft), ("time_limit", hard)):
        if option in declared and seconds is None:
            yield f"{option} must be a plain number of seconds"
    if soft is not None and hard is not None and not 0 < soft < hard:
        yield "expected 0 < soft_time_limit < time_limit"
    queue = topology.get(str(literal(declared.get("queue"))))
    if queue and soft is not None and soft > queue.soft_time_limit:
        yield _too_long("soft_time_limit", soft, queue.name, queue.soft_time_limit)
    if queue and hard is not None and hard > queue.time_limit:
        yield _too_long("time_limit", hard, queue.name, queue.time_limit)


def _seconds(task: Task, option: str) -> int | None:
    value = literal(task.declared.get(option))
    return value if type(value) is int else None


def _too_long(option: str, seconds: int, queue: str, allowed: int) -> str:
    return (
        f"{option}={seconds} exceeds the {allowed} s of queue {queue!r}; "
        "lower it or take a slower queue"
    )
