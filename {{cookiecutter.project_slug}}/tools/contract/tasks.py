"""The tasks of the project, found by their decorator."""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from tools.contract.project import Project
from tools.contract.syntax import keywords, last_name

TESTS = "tests"

# `@shared_task(…)` and `@app.task(…)`
DECORATORS = ("shared_task", "task")


class Task(NamedTuple):
    """One task as it is declared.

    Attributes:
        path: of the file.
        line: of the decorator.
        function: the name of the function.
        declared: what the decorator's keyword arguments say.
        hides: whether some arguments stand behind `**`, where nobody sees them.
    """

    path: str
    line: int
    function: str
    declared: dict[str, ast.expr]
    hides: bool

    @property
    def full_name(self) -> str:
        """The module and the function: the name that the task must have."""
        return ".".join(
            (*PurePosixPath(self.path).with_suffix("").parts, self.function)
        )

    @property
    def test_path(self) -> str:
        """The test module that mirrors its module."""
        path = PurePosixPath(self.path)
        return (TESTS / path.with_name(f"test_{path.name}")).as_posix()


def tasks(project: Project) -> Iterator[Task]:
    """Yield every task outside the tests."""
    for path in project.python_files:
        if path.startswith(f"{TESTS}/"):
            continue
        for node in ast.walk(project.tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _declared(path, node)


def _declared(
    path: str, function: ast.FunctionDef | ast.AsyncFunctionDef
) -> Iterator[Task]:
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        if last_name(call.func if call else decorator) in DECORATORS:
            yield Task(
                path,
                decorator.lineno,
                function.name,
                declared=keywords(call) if call else {},
                hides=(
                    any(not keyword.arg for keyword in call.keywords) if call else False
                ),
            )
