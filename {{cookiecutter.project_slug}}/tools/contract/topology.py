"""The queues of `config/queues.py`, read without running it."""

import ast
from typing import NamedTuple

from tools.contract.project import Project
from tools.contract.syntax import keywords, last_name, literal

TOPOLOGY = "config/queues.py"

SECONDS = ("soft_time_limit", "time_limit", "shutdown_grace")


class Queue(NamedTuple):
    """One queue as it is written down; a number that is computed reads as 0."""

    name: str
    line: int
    soft_time_limit: int
    time_limit: int
    shutdown_grace: int


def queues(project: Project) -> dict[str, Queue]:
    """Return every `Queue(…)` of the topology by its name."""
    calls = [
        node
        for node in ast.walk(project.tree(TOPOLOGY))
        if isinstance(node, ast.Call) and last_name(node.func) == "Queue"
    ]
    found = [_queue(call) for call in calls]
    return {queue.name: queue for queue in found}


def _queue(call: ast.Call) -> Queue:
    given = keywords(call)
    name = literal(given.get("name"))
    seconds = [literal(given.get(field)) for field in SECONDS]
    return Queue(
        name if isinstance(name, str) else "",
        call.lineno,
        *(number if isinstance(number, int) else 0 for number in seconds),
    )
