"""Every Python file parses."""

import ast
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.project import Project


def every_python_file_parses(project: Project) -> Iterator[Finding]:
    """Find files that are not Python, whatever their name says."""
    for path in project.python_files:
        try:
            ast.parse((project.root / path).read_bytes())
        except SyntaxError as error:
            yield Finding(path, error.lineno or 1, f"not valid Python: {error.msg}")
        except ValueError as error:
            yield Finding(path, 1, f"not valid Python: {error}")
