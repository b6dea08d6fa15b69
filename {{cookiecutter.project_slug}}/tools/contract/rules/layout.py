"""Where tasks live: by domain, the clock's apart, each module with its tests."""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from tools.contract.finding import Finding
from tools.contract.rule import rule
from tools.contract.syntax import literal
from tools.contract.tasks import TASK_FOLDERS, Code, Task

TASKS = "app/tasks/"
PERIODIC = "app/tasks/periodic/"
SUFFIX = "_tasks.py"
SCHEDULE = "config/schedule.py"


@rule(
    "domain-modules",
    "What belongs together is found together, and what is not, is not.",
)
def domain_modules(code: Code) -> Iterator[Finding]:
    """Find tasks that no worker loads, and modules of tasks that have no domain."""
    seen: set[str] = set()
    for task in code.tasks:
        if not task.path.startswith("app/") or task.path in seen:
            continue
        seen.add(task.path)
        if not task.path.startswith(TASK_FOLDERS):
            problem = "stands where no worker looks for tasks"
            mend = "move it to app/tasks/<domain>_tasks.py, or into a workflow"
            yield task.finding(problem, mend)
        elif wrong := _wrong_module(code, task):
            yield Finding(task.path, 1, *wrong)


@rule(
    "periodic-tasks",
    "What the clock starts is found in one place, and what is there runs.",
)
def periodic_tasks(code: Code) -> Iterator[Finding]:
    """Find periodic tasks that are not scheduled, and scheduled ones that are elsewhere."""
    scheduled = dict(_scheduled(code))
    known = {task.name for task in code.tasks}
    for name, line in scheduled.items():
        if not name.startswith("app."):
            continue
        if name not in known:
            mend = "write the name of a task in app/tasks/periodic"
            yield Finding(SCHEDULE, line, f"there is no task {name}", mend)
        elif not name.startswith("app.tasks.periodic."):
            mend = "let a task of app/tasks/periodic start it, and schedule that"
            problem = f"{name} is also started by events"
            yield Finding(SCHEDULE, line, problem, mend)
    for task in code.tasks:
        if task.path.startswith(PERIODIC) and task.name not in scheduled:
            mend = f"give it an entry in {SCHEDULE}"
            yield task.finding("no clock starts it", mend)


@rule(
    "test-modules",
    "Tests that mirror the code are found, and missed where there are none.",
)
def test_modules(code: Code) -> Iterator[Finding]:
    """Find modules of tasks without the test module that mirrors them."""
    tested = {task.path: task.test_path for task in code.tasks if _is_business(task)}
    for path, test_path in tested.items():
        if test_path not in code.files:
            problem = f"has tasks but no {test_path}"
            yield Finding(path, 1, problem, "write it")


def _wrong_module(code: Code, task: Task) -> tuple[str, str] | None:
    """Return what is wrong with the name of a module of tasks, and what to do."""
    path = PurePosixPath(task.path)
    if not task.path.startswith(TASKS):
        return None
    if not path.name.endswith(SUFFIX):
        problem = f"{path.name} names no domain"
        return problem, f"call it <domain>{SUFFIX}, one module per domain"
    domain = path.name.removesuffix(SUFFIX)
    services = (f"app/services/{domain}", f"app/services/{domain}s")
    if task.path.startswith(PERIODIC) or any(
        found in code.files
        for service in services
        for found in (f"{service}.py", f"{service}/__init__.py")
    ):
        return None
    problem = f"there is no domain {domain!r} in app/services"
    return problem, f"write {services[0]}.py, or move the tasks to their domain"


def _scheduled(code: Code) -> Iterator[tuple[str, int]]:
    for node in code.nodes(SCHEDULE, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            name = literal(value)
            if literal(key) == "task" and isinstance(name, str):
                yield name, value.lineno


def _is_business(task: Task) -> bool:
    return task.path.startswith("app/")
