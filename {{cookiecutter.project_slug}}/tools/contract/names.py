"""What the names of a module stand for, whatever they were imported as.

`job` in a module that says `from celery import shared_task as job` is `celery.shared_task`
here; so is one that was re-exported by another module of the project, assigned to another
name or wrapped by `functools.partial`. What is computed in any other way stays unknown.
"""

import ast
import builtins
from pathlib import PurePosixPath

from tools.contract.project import Project
from tools.contract.syntax import Function

PARTIAL = "functools.partial"

# Modules that export a name to one another; a circle ends here.
MAX_STEPS = 8


class Names:
    """The names of all modules of a project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._bindings: dict[str, dict[str, str]] = {}
        self._definitions: dict[str, dict[str, ast.AST]] = {}
        self._files = set(project.python_files)

    def of(self, path: str, node: ast.AST | None) -> str:
        """Return the full name of a plain or dotted name, nothing for other code.

        Args:
            path: of the module in which it stands.
            node: the expression.
        """
        return self._follow(self._written(path, node)) if node is not None else ""

    def definition(self, full_name: str) -> tuple[str, str]:
        """Return the module's path and the rest: `app/x.py` and `y.z` of `app.x.y.z`.

        The path is empty if no module of the project has such a name.
        """
        parts = full_name.split(".")
        for count in range(len(parts) - 1, 0, -1):
            module = "/".join(parts[:count])
            for path in (f"{module}.py", f"{module}/__init__.py"):
                if path in self._files:
                    return path, ".".join(parts[count:])
        return "", full_name

    def value(self, full_name: str) -> tuple[str, ast.expr] | None:
        """Return what a constant of a module is assigned, and the module's path."""
        path, name = self.definition(full_name)
        found = self._definitions_of(path).get(name) if path else None
        return (path, found) if isinstance(found, ast.expr) else None

    def class_of(self, full_name: str) -> tuple[str, ast.ClassDef] | None:
        """Return a class of the project and its module's path."""
        path, name = self.definition(full_name)
        found = self._definitions_of(path).get(name) if path else None
        return (path, found) if isinstance(found, ast.ClassDef) else None

    def function_of(self, full_name: str) -> tuple[str, Function] | None:
        """Return a function of the project and its module's path."""
        path, name = self.definition(full_name)
        found = self._definitions_of(path).get(name) if path else None
        return (path, found) if isinstance(found, Function) else None

    def _written(self, path: str, node: ast.AST) -> str:
        if isinstance(node, ast.Attribute):
            owner = self._written(path, node.value)
            return f"{owner}.{node.attr}" if owner else ""
        if not isinstance(node, ast.Name):
            return ""
        bound = self._bindings_of(path).get(node.id)
        if bound:
            return bound
        if node.id in self._definitions_of(path):
            return f"{module_name(path)}.{node.id}"
        return f"builtins.{node.id}" if hasattr(builtins, node.id) else node.id

    def _follow(self, name: str) -> str:
        for _ in range(MAX_STEPS):
            path, rest = self.definition(name)
            first, dot, more = rest.partition(".")
            bound = self._bindings_of(path).get(first) if path else None
            if not bound or bound == name:
                return name
            name = bound + dot + more
        return name

    def _definitions_of(self, path: str) -> dict[str, ast.AST]:
        """Return the classes, functions and constants of a module, by their name."""
        if path not in self._definitions:
            found: dict[str, ast.AST] = {}
            for node in self._project.tree(path).body:
                if isinstance(node, ast.ClassDef | Function):
                    found[node.name] = node
                elif isinstance(node, ast.Assign):
                    names = (one for one in node.targets if isinstance(one, ast.Name))
                    found |= {name.id: node.value for name in names}
                elif isinstance(node, ast.AnnAssign) and node.value:
                    if isinstance(node.target, ast.Name):
                        found[node.target.id] = node.value
            self._definitions[path] = found
        return self._definitions[path]

    def _bindings_of(self, path: str) -> dict[str, str]:
        if path not in self._bindings:
            bound = self._bindings[path] = {}
            for imported in self._project.nodes(path, ast.Import):
                bound |= _imported(imported)
            for taken in self._project.nodes(path, ast.ImportFrom):
                module = _origin(path, taken)
                for alias in taken.names:
                    bound[alias.asname or alias.name] = f"{module}.{alias.name}"
            for assigned in self._project.nodes(path, ast.Assign):
                self._bind(path, assigned, bound)
        return self._bindings[path]

    def _bind(self, path: str, assigned: ast.Assign, bound: dict[str, str]) -> None:
        """Note `job = shared_task` and `job = partial(shared_task, …)`."""
        value = assigned.value
        if isinstance(value, ast.Call) and value.args:
            if self._written(path, value.func) == PARTIAL:
                value = value.args[0]
        written = self._written(path, value)
        known = written.startswith("builtins.") or "." in written
        for target in assigned.targets:
            if isinstance(target, ast.Name) and known and "self." not in written:
                bound.setdefault(target.id, written)


def module_name(path: str) -> str:
    """Return `app.tasks.email_tasks` for `app/tasks/email_tasks.py`."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(node: ast.Import) -> dict[str, str]:
    return {
        alias.asname
        or alias.name.partition(".")[0]: (
            alias.name if alias.asname else alias.name.partition(".")[0]
        )
        for alias in node.names
    }


def _origin(path: str, node: ast.ImportFrom) -> str:
    """Return the module that a `from … import` takes from, a relative one resolved."""
    if not node.level:
        return node.module or ""
    package = PurePosixPath(path).parts[: -node.level]
    return ".".join((*package, *filter(None, [node.module])))
