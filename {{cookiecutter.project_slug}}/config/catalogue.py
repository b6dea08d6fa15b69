"""The catalogue of tasks: what is registered, who tests it, and what starts it.

Queues, limits and retries are those of the registered tasks. Tests are found by their marker
and workflows by the calls in `app/workflows`, both in the source.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from celery import Task

from config import queues
from config.celery import TASK_PACKAGES, app
from config.env import BASE_DIR
from config.schedule import SCHEDULE

TESTS = BASE_DIR / "tests"
WORKFLOW_PACKAGE = "app.workflows"
WORKFLOWS = BASE_DIR / "app" / "workflows"

# What makes a message of a task, or a part of a canvas.
_CALLS = ("s", "si", "signature", "delay", "apply_async")

_CRONTAB = re.compile(r"<crontab: (.*) \(")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One task.

    Attributes:
        task: its name.
        queue: where its messages go.
        soft_time_limit: seconds.
        time_limit: seconds.
        max_retries: attempts after the first one; None for no limit.
        retried: names of the errors that are retried.
        idempotency: what makes a second execution harmless; blank if it does not say.
        tests: the kinds of its tests, sorted.
        schedule: when the clock starts it.
        workflows: that start it.
    """

    task: str
    queue: str
    soft_time_limit: float
    time_limit: float
    max_retries: int | None
    retried: tuple[str, ...]
    idempotency: str
    tests: tuple[str, ...]
    schedule: tuple[str, ...]
    workflows: tuple[str, ...]


class Workflow(NamedTuple):
    """A package or module of `app/workflows`.

    Attributes:
        name: its last part.
        tasks: names of the tasks that it calls, in the order of the source.
        then: pairs of tasks that follow one another in a chain.
    """

    name: str
    tasks: list[str]
    then: list[tuple[str, str]]


def entries() -> list[Entry]:
    """Return every task of the project and of its ledger, sorted by name."""
    app.loader.import_default_modules()
    tests, started_by = tests_by_task(TESTS), _workflows_by_task(workflows())
    ours = tuple(f"{package}." for package in (*TASK_PACKAGES, "ledger"))
    tasks: dict[str, Any] = app.tasks  # the types of Celery leave some of it out
    return [
        Entry(
            task=name,
            queue=task.queue or queues.DEFAULT_QUEUE,
            soft_time_limit=task.soft_time_limit or app.conf.task_soft_time_limit,
            time_limit=task.time_limit or app.conf.task_time_limit,
            max_retries=task.max_retries,
            retried=tuple(
                error.__name__ for error in getattr(task, "autoretry_for", ())
            ),
            idempotency=idempotency(task),
            tests=tuple(sorted(tests.get(name, ()))),
            schedule=tuple(_scheduled(name)),
            workflows=tuple(started_by.get(name, ())),
        )
        for name, task in sorted(tasks.items())
        if name.startswith(ours)
    ]


def idempotency(task: object) -> str:
    """Return what a task declares about a second execution; blank for nothing."""
    declared = []
    if getattr(task, "atomic", False):
        declared.append("atomic")
    if _hands_on_its_key(task):
        declared.append("idempotency key")
    if reason := getattr(task, "idempotent", None):
        declared.append(str(reason))
    if key := getattr(task, "unique_key", None):
        declared.append(f"one at a time of {key}")
    return "; ".join(declared)


def _hands_on_its_key(task: object) -> bool:
    """Return whether the function of a task names `self.idempotency_key`."""
    function = inspect.unwrap(getattr(task, "run", idempotency))  # autoretry wraps it
    return "idempotency_key" in function.__code__.co_names


def tests_by_task(folder: Path) -> dict[str, set[str]]:
    """Return the kinds of tests by the name of the task, as their markers say.

    Args:
        folder: of the tests; where there is none, as in a container, nothing is found.
    """
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        for call in _calls(path):
            words = [node.value for node in call.args if isinstance(node, ast.Constant)]
            if ast.unparse(call.func) == "pytest.mark.task" and words:
                name, *kinds = map(str, words)
                found.setdefault(name, set()).update(kinds)
    return found


def workflows(
    folder: Path = WORKFLOWS, package: str = WORKFLOW_PACKAGE
) -> list[Workflow]:
    """Return the workflows, with the tasks that their source calls.

    Args:
        folder: of the package that holds them.
        package: its name.
    """
    found: dict[str, Workflow] = {}
    for path in sorted(folder.rglob("*.py")):
        parts = [
            part
            for part in path.relative_to(folder).with_suffix("").parts
            if part != "__init__"
        ]
        if not parts:
            continue
        module = import_module(".".join((package, *parts)))
        workflow = found.setdefault(parts[0], Workflow(parts[0], [], []))
        for call in _calls(path):
            name = _called(call, module)
            if name and name not in workflow.tasks:
                workflow.tasks.append(name)
            if ast.unparse(call.func).rpartition(".")[2] == "chain":
                workflow.then.extend(_pairs(call, module))
    return [workflow for workflow in found.values() if workflow.tasks]


def _calls(path: Path) -> Iterator[ast.Call]:
    """Yield the calls in a file in the order of its lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    yield from sorted(calls, key=lambda call: (call.lineno, call.col_offset))


def _called(node: ast.AST, module: object) -> str | None:
    """Return the name of the task that `task.si(…)` or `tasks.task.si(…)` is about."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    if node.func.attr not in _CALLS:
        return None
    found: Any = module
    for part in ast.unparse(node.func.value).split("."):
        found = getattr(found, part, None)
    # Celery's proxies of tasks say that they are tasks.
    return str(found.name) if isinstance(found, Task) else None


def _pairs(chain: ast.Call, module: object) -> Iterator[tuple[str, str]]:
    """Yield the tasks that directly follow one another in a chain."""
    for first, second in pairwise(_called(step, module) for step in chain.args):
        if first and second:
            yield first, second


def _workflows_by_task(found: Iterable[Workflow]) -> dict[str, list[str]]:
    started_by: dict[str, list[str]] = {}
    for workflow in found:
        for task in workflow.tasks:
            started_by.setdefault(task, []).append(workflow.name)
    return started_by


def _scheduled(task: str) -> Iterator[str]:
    for entry in SCHEDULE.values():
        if entry["task"] == task:
            yield when(entry["schedule"])


def when(schedule: object) -> str:
    """Return a schedule in words: `crontab 10 3 * * *`, `every 0:01:00`."""
    if found := _CRONTAB.match(repr(schedule)):
        return f"crontab {found[1]}"
    if isinstance(schedule, int | float):
        return f"every {timedelta(seconds=schedule)}"
    return f"every {schedule}" if isinstance(schedule, timedelta) else str(schedule)
