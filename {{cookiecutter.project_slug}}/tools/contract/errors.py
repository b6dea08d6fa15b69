"""Exceptions: which ones an expression names, a docstring documents, a class descends from."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cached_property

from tools.contract.names import module_name
from tools.contract.syntax import Function, docstring_of, expression, keywords
from tools.contract.tasks import Code

# The section of a docstring, and the line of each error in it.
_RAISES = re.compile(r"^Raises:\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)
_ERROR = re.compile(r"^    ([\w.]+):", re.MULTILINE)


SERVICES = "app/services/"


class Errors:
    """The exceptions of a project."""

    def __init__(self, code: Code) -> None:
        self._code = code

    def in_expression(
        self, path: str, node: ast.expr | None, seen: frozenset[str] = frozenset()
    ) -> set[str]:
        """Return the full names of the classes that an expression stands for.

        Follows tuples, sums of tuples, constants of modules, and the `errors` of policies;
        a bare `except:`, which has no expression, catches everything.
        """
        if node is None:
            return {"builtins.BaseException"}
        if isinstance(node, ast.Tuple | ast.List):
            parts = node.elts
        elif isinstance(node, ast.Starred):
            parts = [node.value]
        elif isinstance(node, ast.BinOp):
            parts = [node.left, node.right]
        else:
            return self._in_name(path, node, seen)
        return set().union(*(self.in_expression(path, one, seen) for one in parts))

    def _in_name(self, path: str, node: ast.expr, seen: frozenset[str]) -> set[str]:
        full_name = self._code.names.of(path, node)
        value = self._value(full_name) if full_name not in seen else None
        if value:
            return self.in_expression(*value, seen | {full_name})
        return {full_name} if full_name else set()

    def documented(self, path: str, function: Function) -> list[str]:
        """Return the full names of the errors under `Raises:` of a docstring."""
        section = _RAISES.search(docstring_of(function))
        names = _ERROR.findall(section[1]) if section else []
        return [self._named(path, name) for name in names]

    def documented_by_service(self, function: str) -> list[str]:
        """Return those of a function of the services, given by its full name."""
        found = self._code.names.function_of(function)
        if not found or not found[0].startswith(SERVICES):
            return []
        return self.documented(*found)

    def is_any_of(self, error: str, classes: set[str]) -> bool:
        """Whether an error is one of these classes, or descends from one."""
        return not classes.isdisjoint(self._ancestry(error))

    def _ancestry(
        self, error: str, seen: frozenset[str] = frozenset()
    ) -> Iterator[str]:
        if error in seen:
            return  # of itself, which Python will not accept either
        yield error
        if error.startswith("builtins."):
            found = getattr(builtins, error.removeprefix("builtins."), object)
            yield from (f"builtins.{base.__name__}" for base in found.__mro__[1:])
        found_class = self._code.names.class_of(error)
        if found_class:
            path, node = found_class
            for base in node.bases:
                yield from self._ancestry(
                    self._code.names.of(path, base), seen | {error}
                )

    def _named(self, path: str, name: str) -> str:
        """Return the full name of an error that a docstring names.

        Its module need not have imported it, where another one raises it.
        """
        full_name = self._code.names.of(path, expression(name))
        return full_name if "." in full_name else self._of_services.get(name, name)

    @cached_property
    def _of_services(self) -> dict[str, str]:
        """The full names of all classes of the services, by their last part."""
        return {
            node.name: f"{module_name(path)}.{node.name}"
            for path in self._code.python_in(SERVICES)
            for node in self._code.nodes(path, ast.ClassDef)
        }

    def _value(self, full_name: str) -> tuple[str, ast.expr] | None:
        """Return what a constant stands for: of `NETWORK.errors`, the policy's errors."""
        found = self._code.names.value(full_name)
        policy, _, field = full_name.rpartition(".")
        made = self._code.names.value(policy) if not found and policy else None
        if made and isinstance(made[1], ast.Call):
            given = keywords(made[1])
            return (made[0], given[field]) if field in given else None
        return found
