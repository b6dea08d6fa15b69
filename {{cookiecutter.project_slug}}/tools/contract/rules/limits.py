"""Time limits and queues: what a task declares, and what its queue can hold."""

import ast
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.rule import rule
from tools.contract.syntax import keywords, literal
from tools.contract.tasks import Code, Task
from tools.contract.topology import TOPOLOGY, Queue, pools_with_limits, queues

LIMITS = ("soft_time_limit", "time_limit")

ENVIRONMENT = "config/env.py"
VISIBILITY = "BROKER_VISIBILITY_TIMEOUT_SECONDS"

# What can make a plain task wait with its message unacknowledged.
WAITS = ("countdown", "retry_backoff_max", "default_retry_delay")


@rule("time-limits", "A task without an end holds a process until somebody notices.")
def time_limits(code: Code) -> Iterator[Finding]:
    """Find tasks that say no soft and hard limit, or such as their queue forbids."""
    topology = queues(code)
    for task in code.tasks:
        yield from _limit_problems(task, topology)


@rule("known-queue", "Nobody consumes from a queue that is not in the topology.")
def known_queue(code: Code) -> Iterator[Finding]:
    """Find tasks and calls that name no queue of the topology."""
    known = queues(code)
    mend = f"take one of {', '.join(known)}"
    for task in code.tasks:
        queue = task.declared.get("queue")
        if queue is None:
            yield task.finding("queue is missing", f"write queue=…: {mend}")
        elif literal(queue) not in known:
            problem = f"queue {ast.unparse(queue)} is not in {TOPOLOGY}"
            yield task.finding(problem, mend, at=queue)
    decorators = {task.decorator for task in code.tasks}
    for path in code.python_in("app/", "config/schedule.py"):
        for call in code.nodes(path, ast.Call):
            queue = keywords(call).get("queue")
            if queue and call not in decorators and _is_unknown(queue, known):
                problem = f"queue {ast.unparse(queue)} is not in {TOPOLOGY}"
                yield Finding(path, queue.lineno, problem, mend)


@rule("queue-limits", "A limit that the pool or the shutdown does not keep is a wish.")
def queue_limits(code: Code) -> Iterator[Finding]:
    """Find queues whose pool ignores limits, or which are killed before their limit."""
    pools = pools_with_limits(code)
    for queue in queues(code).values():
        named = f"queue {queue.name!r}"
        if queue.pool not in pools:
            problem = f"{named}: pool {queue.pool!r} enforces no time limits"
            mend = f"take {' or '.join(pools)}"
            yield Finding(TOPOLOGY, queue.line, problem, mend)
        least = queue.time_limit if queue.drain else 0
        in_order = 0 < queue.soft_time_limit < queue.time_limit
        if not in_order or queue.shutdown_grace <= least:
            problem = f"{named}: its seconds are not plain numbers in ascending order"
            mend = "write 0 < soft_time_limit < time_limit < shutdown_grace"
            if not queue.drain:
                mend = "write 0 < soft_time_limit < time_limit, 0 < shutdown_grace"
            yield Finding(TOPOLOGY, queue.line, problem, mend)


@rule(
    "long-countdown",
    "A broker delivers again what is unacknowledged for too long: a plain task that waits "
    "past the visibility timeout runs twice.",
)
def long_countdown(code: Code) -> Iterator[Finding]:
    """Find plain tasks that wait longer than a message may be unacknowledged."""
    timeout = _visibility_timeout(code)
    plain = {task.name: task for task in code.tasks if task.is_plain}
    declared = ((task.path, task.declared) for task in plain.values())
    called = (
        (path, keywords(call))
        for path in code.python_in("app/")
        for call in code.nodes(path, ast.Call)
        if code.names.of(path, call.func).rpartition(".")[0] in plain
    )
    mend = "make it durable (no base=…), or let the schedule start it"
    for path, given in (*declared, *called):
        for option in WAITS:
            seconds = literal(given.get(option))
            if isinstance(seconds, int) and seconds >= timeout:
                problem = f"{option}={seconds} of a plain task reaches {VISIBILITY}"
                yield Finding(path, given[option].lineno, problem, mend)


def _limit_problems(task: Task, topology: dict[str, Queue]) -> Iterator[Finding]:
    soft, hard = (_seconds(task, option) for option in LIMITS)
    queue = topology.get(str(literal(task.declared.get("queue"))))
    for option, seconds in zip(LIMITS, (soft, hard), strict=True):
        written = task.declared.get(option)
        if seconds is None:
            problem = "is missing" if written is None else "is not a plain number"
            mend = f"write {option}=…, in seconds"
            if queue:
                mend += f", at most {getattr(queue, option)} (queue {queue.name})"
            yield task.finding(f"{option} {problem}", mend, at=written)
    if soft is not None and hard is not None and not 0 < soft < hard:
        mend = "write 0 < soft_time_limit < time_limit"
        problem = f"soft_time_limit={soft} leaves no time before time_limit={hard}"
        at = task.declared["soft_time_limit"]
        yield task.finding(problem, mend, at=at)
    for option, seconds in zip(LIMITS, (soft, hard), strict=True):
        allowed = getattr(queue, option) if queue else None
        if allowed and seconds is not None and seconds > allowed:
            problem = f"{option}={seconds} exceeds the {allowed} s of its queue"
            mend = "lower it, or take a slower queue"
            yield task.finding(problem, mend, at=task.declared[option])


def _seconds(task: Task, option: str) -> int | None:
    value = literal(task.declared.get(option))
    return value if type(value) is int else None


def _is_unknown(queue: ast.expr, known: dict[str, Queue]) -> bool:
    return isinstance(queue, ast.Constant) and queue.value not in known


def _visibility_timeout(code: Code) -> float:
    for field in code.nodes(ENVIRONMENT, ast.AnnAssign):
        if ast.unparse(field.target) == VISIBILITY:
            seconds = literal(field.value)
            return seconds if isinstance(seconds, int) else float("inf")
    return float("inf")
