"""What a rule reports."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One place that breaks the contract.

    Attributes:
        path: of the file, from the root of the project.
        line: counted from 1.
        problem: what is wrong.
        mend: what to do about it.
    """

    path: str
    line: int
    problem: str
    mend: str
