"""Run the rules over a project."""

from pathlib import Path
from typing import NamedTuple

from tools.contract.finding import Finding
from tools.contract.rule import Rule
from tools.contract.rules import RULES
from tools.contract.suppression import (
    Suppression,
    problem_of,
    suppression,
    suppressions,
)
from tools.contract.tasks import Code


class Broken(NamedTuple):
    """A finding and the rule that it breaks."""

    finding: Finding
    rule: Rule


class Report(NamedTuple):
    """What came of it.

    Attributes:
        files: how many files were looked at.
        findings: in the order of files and lines.
        suppressed: the comments that allow one more, each with its reason.
    """

    files: int
    findings: list[Broken]
    suppressed: list[Suppression]


def check(root: Path) -> Report:
    """Check the project in a folder.

    Args:
        root: the folder; nothing in it is imported or run.
    """
    project = Code(root)
    found = {Broken(finding, rule) for rule in RULES for finding in rule.check(project)}
    allowed = list(suppressions(project))
    places = set(map(_place, found))
    known = {rule.id for rule in RULES}
    problems = {
        one: problem_of(one, known, needed=one.place in places) for one in allowed
    }
    lifted = {one.place for one in allowed}
    findings = {broken for broken in found if _place(broken) not in lifted} | {
        Broken(problem, suppression) for problem in problems.values() if problem
    }
    in_order = sorted(findings, key=lambda broken: (broken.finding, broken.rule.id))
    kept = [one for one, problem in problems.items() if not problem]
    return Report(len(project.files), in_order, kept)


def _place(broken: Broken) -> tuple[str, int, str]:
    return broken.finding.path, broken.finding.line, broken.rule.id
