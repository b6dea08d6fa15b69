"""Rules for every file: it can be read, by people and by Python."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch

from tools.contract.finding import Finding
from tools.contract.project import Project
from tools.contract.rule import rule

MAX_LINES = 500

# Written by machines, or data.
NOT_READ = ("requirements*.txt", "*.lock", "*.csv", "*.json", "*.svg", "*.xml")

# Templates of Django, Prometheus and Grafana look the same; the last one is the page with the
# bad example.
TEMPLATES = (
    "app/templates/",
    "deploy/monitoring/",
    "tools/scaffold/templates/",
    "docs/rules/template-tags.md",
)

# Not `${…}` with a second brace, which is GitHub's, and not a dot after the braces, which
# is Go's: https://docs.docker.com/engine/cli/formatting/
_TAG = re.compile(r"(?<!\$)\{(?:\{(?!-?\s*[.$]).*?\}\}|%.*?%\}|\#.*?\#\})")

Position = tuple[int, int]


@rule(
    "python-syntax", "A module that does not parse stops every process that loads it."
)
def python_syntax(project: Project) -> Iterator[Finding]:
    """Find files that are not Python, whatever their name says."""
    for path in project.python_files:
        project.tree(path)
    for path, (line, message) in project.syntax_errors.items():
        yield Finding(path, line, f"not valid Python: {message}", "correct it")


@rule("file-length", "What nobody can read in one sitting, nobody reviews.")
def file_length(project: Project) -> Iterator[Finding]:
    """Find files of more than `MAX_LINES` lines."""
    for path in project.files:
        name = path.rpartition("/")[2]
        if any(fnmatch(name, pattern) for pattern in NOT_READ):
            continue
        count = len(project.text(path).splitlines())
        if count > MAX_LINES:
            problem = f"{count} lines, at most {MAX_LINES} are accepted"
            mend = "split the file by domain, one concept each"
            yield Finding(path, MAX_LINES + 1, problem, mend)


@rule("template-tags", "A tag that was never replaced is shown, or run, as it stands.")
def template_tags(project: Project) -> Iterator[Finding]:
    """Find tags of the project's own template that generation should have replaced."""
    for path in project.files:
        if path.startswith(TEMPLATES):
            continue
        for line, column, tag in _tags(project.text(path)):
            if not _is_in_f_string(project, path, (line, column)):
                problem = f"template tag {tag!r} is left"
                yield Finding(path, line, problem, "write what it stands for")


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
        for node in project.nodes(path, ast.JoinedStr)
    )
