"""Exceptions to the contract, line by line and with a reason.

    print(answer)  # contract: allow no-print (the caller reads our standard output)

A suppression without a reason, for no such rule, or of nothing is a finding itself, so that
none outlives its reason.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from typing import NamedTuple

from tools.contract.finding import Finding
from tools.contract.project import Project
from tools.contract.rule import rule

_COMMENT = re.compile(r"#\s*contract:\s*allow\b\s*([\w-]*)\s*(?:\((.*)\))?")


class Suppression(NamedTuple):
    """One exception.

    Attributes:
        path: of the file.
        line: that it stands on, and holds for.
        id: of the rule that it lifts there.
        reason: why; nothing if none is given.
    """

    path: str
    line: int
    id: str
    reason: str

    @property
    def place(self) -> tuple[str, int, str]:
        """File, line and rule: what it lifts."""
        return self.path, self.line, self.id


@rule(
    "suppression",
    "An exception that nobody can judge, or that nothing needs any more, hides the next "
    "mistake.",
)
def suppression(project: Project) -> Iterator[Finding]:
    """Find nothing by itself: the engine knows which suppressions were needed."""
    yield from ()


def suppressions(project: Project) -> Iterator[Suppression]:
    """Yield every suppression; in Markdown, `#` begins a heading and no comment."""
    for path in project.files:
        if path.endswith(".md") or "contract:" not in project.text(path):
            continue
        for line, comment in _comments(project, path):
            if match := _COMMENT.search(comment):
                yield Suppression(path, line, match[1], (match[2] or "").strip())


def problem_of(found: Suppression, known: set[str], needed: bool) -> Finding | None:
    """Return what is wrong with a suppression, nothing if it is as it should be.

    Args:
        found: the suppression.
        known: the ids of all rules.
        needed: whether its rule found something on its line.
    """
    path, line, id, reason = found
    if id not in known:
        problem = f"no rule is called {id!r}"
        return Finding(path, line, problem, "name one of docs/contract.md")
    if not needed:
        problem = f"{id} finds nothing here, so that there is nothing to allow"
        return Finding(path, line, problem, "remove the comment")
    if not reason:
        mend = f"say why: # contract: allow {id} (the reason)"
        return Finding(path, line, f"{id} is allowed without a reason", mend)
    return None


def _comments(project: Project, path: str) -> Iterator[tuple[int, str]]:
    """Yield the comments of a Python file, the lines of any other."""
    if not path.endswith(".py"):
        yield from project.lines(path)
        return
    try:
        for token in tokenize.generate_tokens(io.StringIO(project.text(path)).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (SyntaxError, tokenize.TokenError):
        return  # it does not parse, which is a finding of its own
