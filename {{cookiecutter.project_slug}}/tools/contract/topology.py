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
    pool: str
    soft_time_limit: int
    time_limit: int
    shutdown_grace: int
    drain: bool


def queues(project: Project) -> dict[str, Queue]:
    """Return every `Queue(…)` of the topology by its name."""
    found = [
        _queue(call)
        for call in project.nodes(TOPOLOGY, ast.Call)
        if last_name(call.func) == "Queue"
    ]
    return {queue.name: queue for queue in found}


def pools_with_limits(project: Project) -> tuple[str, ...]:
    """Return `POOLS_THAT_ENFORCE_TIME_LIMITS` of the topology."""
    for assigned in project.nodes(TOPOLOGY, ast.Assign):
        named = any(
            last_name(target) == "POOLS_THAT_ENFORCE_TIME_LIMITS"
            for target in assigned.targets
        )
        if named and isinstance(assigned.value, ast.Tuple):
            return tuple(str(literal(pool)) for pool in assigned.value.elts)
    return ()


def _queue(call: ast.Call) -> Queue:
    given = keywords(call)
    name, pool = literal(given.get("name")), literal(given.get("pool"))
    soft, hard, grace = (_number(literal(given.get(field))) for field in SECONDS)
    return Queue(
        name if isinstance(name, str) else "",
        call.lineno,
        pool if isinstance(pool, str) else "",
        soft,
        hard,
        grace,
        drain=literal(given.get("drain")) is not False,
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
