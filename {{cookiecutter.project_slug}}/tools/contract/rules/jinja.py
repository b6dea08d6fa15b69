"""No tag of the project's template is left in a file."""

import ast
import re
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.project import Project

# Django's own templates look the same.
TEMPLATES = "app/templates/"

# Not `${…}` with a second brace, which is GitHub's, and not a dot after the braces, which
# is Go's: https://docs.docker.com/engine/cli/formatting/
_TAG = re.compile(r"(?<!\$)\{(?:\{(?!-?\s*[.$]).*?\}\}|%.*?%\}|\#.*?\#\})")

Position = tuple[int, int]


def no_jinja_left(project: Project) -> Iterator[Finding]:
    """Find tags that generation should have replaced."""
    for path in project.files:
        if path.startswith(TEMPLATES):
            continue
        for line, column, tag in _tags(project.text(path)):
            if not _is_in_f_string(project, path, (line, column)):
                message = f"template tag {tag!r} is left; write what it stands for"
                yield Finding(path, line, message)


def _tags(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield line, column in bytes (as `ast` counts) and text of every tag."""
    if not _TAG.search(text):
        return
    for number, line in enumerate(text.split("\n"), start=1):
        for tag in _TAG.finditer(line):
            yield number, len(line[: tag.start()].encode()), tag[0]


def _is_in_f_string(project: Project, path: str, position: Position) -> bool:
    """Whether a doubled brace is Python's way to write a single one there."""
    if not path.endswith(".py"):
        return False
    return any(
        (node.lineno, node.col_offset)
        <= position
        < (node.end_lineno or 0, node.end_col_offset or 0)
        for node in ast.walk(project.tree(path))
        if isinstance(node, ast.JoinedStr)
    )
