"""Which tasks there are, and which kinds of test each must have."""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from enum import StrEnum
from types import ModuleType
from typing import Any

from celery import Task

import app.workflows
from config.celery import app as celery_app

AnyTask = Task[..., Any]


class Kind(StrEnum):
    """What a test says about a task."""

    EXECUTION = "execution"
    FAILURE = "failure"
    RETRY = "retry"
    IDEMPOTENCY = "idempotency"
    PROGRESS = "progress"
    WORKFLOW = "workflow"


ALWAYS = frozenset({Kind.EXECUTION, Kind.FAILURE, Kind.RETRY, Kind.IDEMPOTENCY})


def reports_progress(task: AnyTask) -> bool:
    """Return whether the function of a task calls `update_state` itself."""
    source = textwrap.dedent(inspect.getsource(task.run))
    return any(
        isinstance(node, ast.Attribute) and node.attr == "update_state"
        for node in ast.walk(ast.parse(source))
    )


def required_kinds() -> dict[str, frozenset[Kind]]:
    """Return the kinds of test that each registered task of `app` must have, by its name.

    Four are always required. Progress is, if the function of the task itself calls
    `update_state`; workflow, if the task belongs to a module of `app.workflows`, or if the
    code of one names it. A task that is found by its name in a string is not seen.
    """
    celery_app.finalize()
    celery_app.loader.import_default_modules()
    of_workflows = {task.name for task in _named_by_workflows()}
    required = {}
    for name, task in sorted(celery_app.tasks.items()):
        if task.__module__.partition(".")[0] != app.__name__:
            continue
        kinds = set(ALWAYS)
        if reports_progress(task):
            kinds.add(Kind.PROGRESS)
        if name in of_workflows or task.__module__.startswith(app.workflows.__name__):
            kinds.add(Kind.WORKFLOW)
        required[name] = frozenset(kinds)
    return required


def _named_by_workflows() -> Iterator[AnyTask]:
    package = app.workflows
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            value = _value(node, module)
            if isinstance(value, Task):
                yield value


def _value(node: ast.AST, module: ModuleType) -> object:
    """Return what `name` or `name.attribute` means at the top of a module."""
    if isinstance(node, ast.Name):
        return getattr(module, node.id, None)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return getattr(getattr(module, node.value.id, None), node.attr, None)
    return None
