"""The tasks of the project, found by what their decorator stands for."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from tools.contract.finding import Finding
from tools.contract.names import Names, module_name
from tools.contract.project import Project
from tools.contract.syntax import Function, keywords, last_name

TESTS = "tests/"
TASK_FOLDERS = ("app/tasks/", "app/workflows/")

# Policies that tasks share; no tasks themselves.
POLICIES = "app/tasks/utils/"

SHARED_TASK = "celery.shared_task"


@dataclass(frozen=True, eq=False)
class Task:
    """One task as it is declared.

    Attributes:
        path: of the file.
        line: of the decorator.
        function: that it decorates.
        decorator: the expression behind the `@`.
        declared: what the decorator's keyword arguments say.
        hides: whether some arguments stand behind `**`, where nobody sees them.
        base: the full name of its `base=`; nothing for a durable task.
    """

    path: str
    line: int
    function: Function
    decorator: ast.expr
    declared: dict[str, ast.expr] = field(default_factory=dict)
    hides: bool = False
    base: str = ""

    @property
    def name(self) -> str:
        """The module and the function: the name that the task must have."""
        return f"{module_name(self.path)}.{self.function.name}"

    @property
    def is_plain(self) -> bool:
        """Whether its messages are Celery's own, without a row of the ledger."""
        return bool(self.base) and not self.base.endswith("DurableTask")

    @property
    def test_path(self) -> str:
        """The test module that mirrors its module."""
        path = PurePosixPath(self.path)
        return (TESTS / path.with_name(f"test_{path.name}")).as_posix()

    def finding(self, problem: str, mend: str, at: ast.AST | None = None) -> Finding:
        """Report this task, at a node in it or else at its decorator."""
        line = getattr(at, "lineno", self.line)
        return Finding(self.path, line, f"task {self.function.name}: {problem}", mend)


class Code(Project):
    """A project with the names in it resolved and its tasks found, each once."""

    @cached_property
    def names(self) -> Names:
        """What the names in its modules stand for."""
        return Names(self)

    @cached_property
    def tasks(self) -> list[Task]:
        """Every task outside the tests."""
        return list(self._find())

    @property
    def thin_files(self) -> list[str]:
        """The modules in which only thin code may stand."""
        return [
            path
            for path in self.python_in(*TASK_FOLDERS)
            if not path.startswith(POLICIES)
        ]

    def is_declaration(self, path: str, node: ast.expr) -> bool:
        """Whether an expression stands for `shared_task`, or for the `task` of an app."""
        full_name = self.names.of(path, node)
        if full_name == SHARED_TASK or full_name.endswith(".shared_task"):
            return True
        if isinstance(node, ast.Attribute):
            return node.attr == "task"
        return last_name(node) == "shared_task" or full_name.endswith(".task")

    def _find(self) -> Iterator[Task]:
        for path in self.python_files:
            if path.startswith(TESTS):
                continue
            for function in self.functions(path):
                yield from self._declared(path, function)

    def _declared(self, path: str, function: Function) -> Iterator[Task]:
        for decorator in function.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            if not self.is_declaration(path, call.func if call else decorator):
                continue
            declared = keywords(call) if call else {}
            yield Task(
                path,
                decorator.lineno,
                function,
                decorator,
                declared,
                hides=call is not None and len(declared) < len(call.keywords),
                base=self.names.of(path, declared.get("base")),
            )
