"""Every task says everything about itself in its decorator."""

import ast
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.project import Project
from tools.contract.syntax import last_name, literal
from tools.contract.tasks import Task, tasks

EXACT: dict[str, object] = {
    "bind": True,
    "acks_late": True,
    "reject_on_worker_lost": True,
    "retry_backoff": True,
    "retry_backoff_max": 600,
    "retry_jitter": True,
}
CHOSEN = (
    "name",
    "queue",
    "autoretry_for",
    "max_retries",
    "soft_time_limit",
    "time_limit",
)


def every_task_is_explicit(project: Project) -> Iterator[Finding]:
    """Find tasks that leave something to a default, or to another place."""
    for task in tasks(project):
        for message in _problems(task):
            yield Finding(task.path, task.line, f"task {task.function}: {message}")


def _problems(task: Task) -> Iterator[str]:
    declared = task.declared
    if task.hides:
        yield "spell its options out; `**` hides them"
    for option, value in EXACT.items():
        if not _spells(declared.get(option), value):
            yield f"write {option}={value}"
    for option in CHOSEN:
        if option not in declared:
            yield f"write {option}=…; no default is right for every task"
    if "name" in declared and literal(declared["name"]) != task.full_name:
        yield f'write name="{task.full_name}", which its callers can rely on'
    if "max_retries" in declared and _is_none(declared["max_retries"]):
        yield "max_retries=None retries for ever; write a number"
    if _is_too_broad(declared.get("autoretry_for")):
        yield "autoretry_for needs the specific errors that another attempt may mend"


def _spells(node: ast.expr | None, value: object) -> bool:
    """Whether the code says just that; 1 is not True here."""
    found = literal(node)
    return type(found) is type(value) and found == value


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_too_broad(node: ast.expr | None) -> bool:
    """Whether it is an empty tuple, or has `Exception` in it."""
    if not isinstance(node, ast.Tuple | ast.List):
        return False
    names = {last_name(error) for error in node.elts}
    return not names or not names.isdisjoint(("Exception", "BaseException"))
