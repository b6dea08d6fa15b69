"""Run the rules over a project."""

from pathlib import Path
from typing import NamedTuple

from tools.contract.finding import Finding
from tools.contract.rule import Rule
from tools.contract.rules import RULES
from tools.contract.suppression import problem_of, suppression, suppressions
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
        suppressed: how many more there are that a comment allows.
    """

    files: int
    findings: list[Broken]
    suppressed: int


def check(root: Path) -> Report:
    """Check the project in a folder.

    Args:
        root: the folder; nothing in it is imported or run.
    """
    project = Code(root)
    found = {Broken(finding, rule) for rule in RULES for finding in rule.check(project)}
    allowed = list(suppressions(project))
    places = {(one.path, one.line, one.id) for one in allowed}
    suppressed = {broken for broken in found if _place(broken) in places}
    needed = {_place(broken) for broken in suppressed}
    known = {rule.id for rule in RULES}
    wrong = (
        problem_of(one, known, needed=(one.path, one.line, one.id) in needed)
        for one in allowed
    )
    findings = found - suppressed | {
        Broken(finding, suppression) for finding in wrong if finding
    }
    in_order = sorted(findings, key=lambda broken: (broken.finding, broken.rule.id))
    return Report(len(project.files), in_order, len(suppressed))


def _place(broken: Broken) -> tuple[str, int, str]:
    return broken.finding.path, broken.finding.line, broken.rule.id
