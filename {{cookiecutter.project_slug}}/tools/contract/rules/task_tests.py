"""Every module with tasks has its test module, and every task is named by a test."""

import ast
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.project import Project
from tools.contract.tasks import TESTS, tasks


def every_task_is_tested(project: Project) -> Iterator[Finding]:
    """Find tasks and modules of tasks that no test knows."""
    known = _names_in_tests(project)
    without_test_module: set[str] = set()
    for task in tasks(project):
        if task.test_path not in project.files:
            if task.path not in without_test_module:
                yield Finding(
                    task.path, 1, f"has tasks but no {task.test_path}; write it"
                )
            without_test_module.add(task.path)
        elif task.function not in known and task.full_name not in known:
            message = f"task {task.function}: no test names it; write one"
            yield Finding(task.path, task.line, f"{message} in {task.test_path}")


def _names_in_tests(project: Project) -> set[str]:
    """Return every identifier and every string in the tests."""
    names: set[str] = set()
    for path in project.python_files:
        if not path.startswith(f"{TESTS}/"):
            continue
        for node in ast.walk(project.tree(path)):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.alias):
                names.add(node.name)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
    return names
