"""A copy of the project in which everything is written and tried first."""

import difflib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from django.core.management.base import CommandError

from tools.contract.project import Project
from tools.scaffold.merging import Conflict, merged

ENV_FILE = ".env"


class Staging:
    """The copy, and what was written in it.

    Attributes:
        root: of the copy.
        project: root of the project.
    """

    def __init__(self, root: Path, project: Path) -> None:
        self.root = root
        self.project = project

    def add(self, path: str, rendered: str) -> None:
        """Write a module, or add to the one that exists.

        Args:
            path: from the root of the project.
            rendered: source of a whole module.

        Raises:
            CommandError: if something else has one of its names.
        """
        self._add_packages(Path(path).parent)
        file = self.root / path
        existing = file.read_text(encoding="utf-8") if file.exists() else ""
        try:
            text = merged(existing, rendered)
        except Conflict as conflict:
            raise CommandError(f"nothing was written: {path} {conflict}") from None
        if text != existing:
            file.write_text(text, encoding="utf-8")

    def format(self) -> None:
        """Put in order what was written, as `make format` does."""
        changed = [path for path in self.changes() if path.endswith(".py")]
        if changed:
            for tool in ("isort", "black"):
                self.run(tool, "--quiet", *changed)

    def run(self, module: str, *arguments: str) -> None:
        """Run `python -m module` in the copy.

        Raises:
            CommandError: with the error it ended with, if it failed.
        """
        # PYTHONPATH, because -m does not look into the current folder where
        # PYTHONSAFEPATH is set
        finished = subprocess.run(
            [sys.executable, "-B", "-m", module, *arguments],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(self.root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            stdin=subprocess.DEVNULL,  # nobody sees its questions
        )
        if finished.returncode:
            error = _error(finished.stdout, f"{self.root.resolve()}{os.sep}")
            raise CommandError(f"nothing was written: {module} failed: {error}")

    def changes(self) -> dict[str, tuple[str | None, str]]:
        """Return old text (None for a new file) and new text of each changed file.

        Tests come first, then the code, then the docs.
        """
        found: dict[str, tuple[str | None, str]] = {}
        for path in Project(self.root).files:
            new, old = _text(self.root / path), _text(self.project / path)
            if new is not None and new != old:
                found[path] = (old, new)
        order = ("tests/", "app/", "config/", "docs/")
        return dict(sorted(found.items(), key=lambda item: _rank(item[0], order)))

    def apply(self) -> None:
        """Write the changes into the project: all of them, or none if one fails."""
        written: list[tuple[Path, str | None]] = []
        try:
            for path, (old, new) in self.changes().items():
                file = self.project / path
                file.parent.mkdir(parents=True, exist_ok=True)
                written.append((file, old))
                file.write_text(new, encoding="utf-8")
        except BaseException:
            for file, old in written:
                if old is None:
                    file.unlink(missing_ok=True)
                else:
                    file.write_text(old, encoding="utf-8")
            raise

    def diff(self) -> str:
        """Return the changes as a unified diff."""
        return "".join(_diffs(self.changes()))

    def _add_packages(self, folder: Path) -> None:
        """Make every folder down to this one a package."""
        for package in (*reversed(folder.parents[:-1]), folder):
            (self.root / package).mkdir(exist_ok=True)
            (self.root / package / "__init__.py").touch()


def refuse_broken(project: Project) -> None:
    """See that every Python file can be parsed.

    Raises:
        CommandError: naming file, line and what is wrong there.
    """
    for path in project.python_files:
        project.tree(path)
    for path, (line, problem) in project.syntax_errors.items():
        raise CommandError(f"nothing was written: {path}:{line}: {problem}")


@contextmanager
def staged(project: Path) -> Iterator[Staging]:
    """Copy what git would keep of a project, and its `.env`; remove the copy afterwards.

    Args:
        project: its root.
    """
    with TemporaryDirectory(prefix="generate-") as scratch:
        root = Path(scratch)
        for path in (*Project(project).files, ENV_FILE):
            if (project / path).is_file():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(project / path, root / path)
        yield Staging(root, project)


def _error(printed: str, root: str) -> str:
    """Return what a process printed; of a traceback, its last line of ours and the error.

    Args:
        printed: by the process.
        root: of our files, with a separator at its end.
    """
    before, traceback, after = printed.rpartition(
        "Traceback (most recent call last):\n"
    )
    if not traceback:
        return printed.strip()
    # Frames are indented, the error is not.
    error = re.search(r"^\S.*", after, re.MULTILINE | re.DOTALL)
    ours = re.findall(rf'File "{re.escape(root)}(.+?)", line (\d+)', after)
    where = "{}:{}: ".format(*ours[-1]) if ours else ""
    return where + (error[0] if error else after).strip()


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _rank(path: str, order: tuple[str, ...]) -> tuple[int, str]:
    ranks = [rank for rank, start in enumerate(order) if path.startswith(start)]
    return (ranks[0] if ranks else len(order), path)


def _diffs(changes: dict[str, tuple[str | None, str]]) -> Iterable[str]:
    for path, (old, new) in changes.items():
        yield from difflib.unified_diff(
            (old or "").splitlines(keepends=True),
            new.splitlines(keepends=True),
            fromfile="/dev/null" if old is None else f"a/{path}",
            tofile=f"b/{path}",
        )
