"""The files of a project: what git would keep, each read, parsed and walked once."""

import ast
import os
from collections import defaultdict
from collections.abc import Iterator
from fnmatch import translate
from functools import cached_property
from pathlib import Path
from re import Pattern
from re import compile as compile_pattern
from typing import NamedTuple, TypeVar

from tools.contract.syntax import Function

Node = TypeVar("Node", bound=ast.AST)


class _Ignored(NamedTuple):
    """One line of .gitignore."""

    pattern: Pattern[str]
    of_path: bool
    kept: bool


class Project:
    """A folder with the files that belong to the project in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._texts: dict[str, str] = {}
        self._trees: dict[str, ast.Module] = {}
        self._nodes: dict[str, dict[type[ast.AST], list[ast.AST]]] = {}
        self.syntax_errors: dict[str, tuple[int, str]] = {}

    @cached_property
    def files(self) -> list[str]:
        """Every file that git does not ignore, as a path from the root with `/`."""
        return sorted(self._walk())

    @cached_property
    def python_files(self) -> list[str]:
        """Those of the files that are Python."""
        return [path for path in self.files if path.endswith(".py")]

    def functions(self, path: str) -> list[Function]:
        """Return every function of a file, methods and nested ones included."""
        return [
            *self.nodes(path, ast.FunctionDef),
            *self.nodes(path, ast.AsyncFunctionDef),
        ]

    def python_in(self, *folders: str) -> list[str]:
        """Return the Python files in any of the folders, migrations left out."""
        return [
            path
            for path in self.python_files
            if path.startswith(folders) and "/migrations/" not in path
        ]

    def text(self, path: str) -> str:
        """Return what is in a file: nothing if it is missing or not text."""
        if path not in self._texts:
            try:
                text = (self.root / path).read_text(encoding="utf-8")
            except (FileNotFoundError, UnicodeDecodeError):
                text = ""
            self._texts[path] = text
        return self._texts[path]

    def lines(self, path: str) -> Iterator[tuple[int, str]]:
        """Yield the lines of a file, numbered from 1."""
        return enumerate(self.text(path).splitlines(), start=1)

    def tree(self, path: str) -> ast.Module:
        """Return the syntax tree of a Python file: empty if it is missing or broken.

        What is wrong with a broken one stands in `syntax_errors` afterwards.
        """
        if path not in self._trees:
            tree = ast.Module(body=[], type_ignores=[])
            try:
                # Bytes, so that a declared encoding counts.
                tree = ast.parse((self.root / path).read_bytes())
            except FileNotFoundError:
                pass
            except SyntaxError as error:
                self.syntax_errors[path] = (error.lineno or 1, error.msg)
            except ValueError as error:
                self.syntax_errors[path] = (1, str(error))
            self._trees[path] = tree
        return self._trees[path]

    def nodes(self, path: str, kind: type[Node]) -> list[Node]:
        """Return the nodes of a file's tree that are of just that class."""
        if path not in self._nodes:
            found: dict[type[ast.AST], list[ast.AST]] = defaultdict(list)
            for node in ast.walk(self.tree(path)):
                found[type(node)].append(node)
            self._nodes[path] = found
        return self._nodes[path].get(kind, [])  # type: ignore[return-value]  # by kind

    def _walk(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.root):
            parent = os.path.relpath(folder, self.root).replace(os.sep, "/")
            prefix = "" if parent == "." else f"{parent}/"
            folders[:] = [name for name in folders if self._is_kept(prefix, name)]
            yield from (prefix + name for name in files if self._is_kept(prefix, name))

    def _is_kept(self, prefix: str, name: str) -> bool:
        """Whether git would keep it; the last pattern that matches decides."""
        kept = name != ".git"
        for pattern, of_path, keeps in self._ignored:
            if pattern.match(prefix + name if of_path else name):
                kept = keeps
        return kept

    @cached_property
    def _ignored(self) -> list[_Ignored]:
        lines = (line.strip() for _, line in self.lines(".gitignore"))
        return [_ignored(line) for line in lines if line and not line.startswith("#")]


def _ignored(line: str) -> _Ignored:
    bare = line.lstrip("!").rstrip("/")
    pattern = compile_pattern(translate(bare.lstrip("/")))
    return _Ignored(pattern, of_path="/" in bare, kept=line.startswith("!"))
