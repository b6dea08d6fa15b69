"""No file is too long to be read."""

from collections.abc import Iterator
from fnmatch import fnmatch

from tools.contract.finding import Finding
from tools.contract.project import Project

MAX_LINES = 500

# Written by machines, or data.
NOT_READ = ("requirements*.txt", "*.lock", "*.csv", "*.json", "*.svg", "*.xml")


def no_long_file(project: Project) -> Iterator[Finding]:
    """Find files of more than `MAX_LINES` lines."""
    for path in project.files:
        name = path.rpartition("/")[2]
        if any(fnmatch(name, pattern) for pattern in NOT_READ):
            continue
        count = len(project.text(path).splitlines())
        if count > MAX_LINES:
            message = f"{count} lines, at most {MAX_LINES} are accepted; split the file"
            yield Finding(path, MAX_LINES + 1, message)
