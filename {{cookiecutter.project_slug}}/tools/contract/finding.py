"""What a rule reports."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tools.contract.project import Project


class Finding(NamedTuple):
    """One place that breaks the contract.

    Attributes:
        path: of the file, from the root of the project.
        line: counted from 1.
        message: what is wrong, and how to mend it.
    """

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


Rule = Callable[[Project], Iterator[Finding]]
