"""The files of a project: what git would keep, read once."""

import ast
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path


class Project:
    """A folder with the files that belong to the project in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._texts: dict[str, str] = {}
        self._trees: dict[str, ast.Module | None] = {}

    @cached_property
    def files(self) -> list[str]:
        """Every file that git does not ignore, as a path from the root with `/`."""
        return sorted(self._walk())

    @property
    def python_files(self) -> list[str]:
        """Those of the files that are Python."""
        return [path for path in self.files if path.endswith(".py")]

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
        """Return the syntax tree of a Python file: empty if it is missing or broken."""
        if path not in self._trees:
            try:
                self._trees[path] = ast.parse(self.text(path))
            except (SyntaxError, ValueError):
                self._trees[path] = None
        return self._trees[path] or ast.Module(body=[], type_ignores=[])

    def _walk(self) -> Iterator[str]:
        for folder, folders, files in os.walk(self.root):
            parent = Path(folder).relative_to(self.root)
            folders[:] = [name for name in folders if self._is_kept(parent / name)]
            yield from (
                (parent / name).as_posix()
                for name in files
                if self._is_kept(parent / name)
            )

    def _is_kept(self, path: Path) -> bool:
        """Whether git would keep it; the last pattern that matches decides."""
        kept = path.name != ".git"
        for pattern in self._ignore_patterns:
            bare = pattern.lstrip("!").rstrip("/")
            subject = path.as_posix() if "/" in bare else path.name
            if fnmatch(subject, bare.lstrip("/")):
                kept = pattern.startswith("!")
        return kept

    @cached_property
    def _ignore_patterns(self) -> list[str]:
        lines = (line.strip() for _, line in self.lines(".gitignore"))
        return [line for line in lines if line and not line.startswith("#")]
