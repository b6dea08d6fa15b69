"""Every task says everything about itself, in its decorator."""

import ast
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.rule import rule
from tools.contract.syntax import literal
from tools.contract.tasks import SHARED_TASK, TESTS, Code, Task

ACKS_LATE = ("acks_late", "reject_on_worker_lost")

# Where the type of `shared_task` is written down.
DECORATOR = "ledger/decorator.py"


@rule("explicit-options", "What a reviewer does not see on the task, nobody reviews.")
def explicit_options(code: Code) -> Iterator[Finding]:
    """Find options behind `**`, and tasks that are registered in another way."""
    for task in code.tasks:
        if task.hides:
            yield task.finding("`**` hides its options", "spell each of them out")
    decorators = {task.decorator for task in code.tasks}
    for path in code.python_files:
        if path.startswith(TESTS) or path == DECORATOR:
            continue
        for call in code.nodes(path, ast.Call):
            name = code.names.of(path, call.func)
            if name.endswith(".register_task") or (
                name == SHARED_TASK and call not in decorators
            ):
                problem = f"{ast.unparse(call.func)}(…) registers a task out of sight"
                mend = "decorate its function: @shared_task(bind=True, name=…, …)"
                yield Finding(path, call.lineno, problem, mend)


@rule(
    "bound-task", "Without its run, a body can neither retry, report nor be idempotent."
)
def bound_task(code: Code) -> Iterator[Finding]:
    """Find tasks that do not get their run as `self`."""
    for task in code.tasks:
        yield from _must_say(task, "bind", True)


@rule("task-name", "Messages carry the name: one that changes by itself loses them.")
def task_name(code: Code) -> Iterator[Finding]:
    """Find tasks whose name is not written down, or is not their module path."""
    for task in code.tasks:
        name = task.declared.get("name")
        if literal(name) != task.name:
            problem = "name is missing" if name is None else f"{_told(name)} is not it"
            yield task.finding(problem, f'write name="{task.name}"', at=name)


@rule(
    "acks-late",
    "A message that is acknowledged before its task has ended dies with the worker.",
)
def acks_late(code: Code) -> Iterator[Finding]:
    """Find tasks that do not say, or deny, that they acknowledge late."""
    for task in code.tasks:
        for option in ACKS_LATE:
            yield from _must_say(task, option, True)


@rule("retry-policy", "A retry without end, pause or jitter takes down what recovers.")
def retry_policy(code: Code) -> Iterator[Finding]:
    """Find tasks that leave out how often they retry, and after how long."""
    for task in code.tasks:
        retries = task.declared.get("max_retries")
        if retries is None:
            mend = "write max_retries=<POLICY>.max_retries, or a number"
            yield task.finding("max_retries is missing", mend)
        elif isinstance(retries, ast.Constant) and not _is_number(retries.value):
            problem = f"max_retries={ast.unparse(retries)} is no end"
            yield task.finding(problem, "write a number", at=retries)
        yield from _must_say(task, "retry_backoff", True)
        yield from _must_say(task, "retry_backoff_max", 600)
        yield from _must_say(task, "retry_jitter", True)


def _must_say(task: Task, option: str, value: object) -> Iterator[Finding]:
    """Find a task that does not spell an option out; 1 is not True here."""
    written = task.declared.get(option)
    found = literal(written)
    if type(found) is not type(value) or found != value:
        problem = f"{option} is missing" if written is None else _told(written, option)
        yield task.finding(problem, f"write {option}={value}", at=written)


def _told(node: ast.expr, option: str = "name") -> str:
    return f"{option}={ast.unparse(node)}"


def _is_number(value: object) -> bool:
    return type(value) is int and value >= 0
