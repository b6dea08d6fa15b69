"""A report as text for people, as JSON, and as annotations of GitHub's."""

import json
from collections.abc import Callable

from tools.contract.engine import Broken, Report


def text(report: Report) -> str:
    """Return each finding with its reason and its remedy, and the verdict last."""
    return "\n".join([*map(_text, report.findings), verdict(report)])


def as_json(report: Report) -> str:
    """Return everything as one JSON object."""
    return json.dumps(
        {
            "files": report.files,
            "suppressed": [
                {"path": path, "line": line, "rule": id, "reason": reason}
                for path, line, id, reason in report.suppressed
            ],
            "findings": [
                finding._asdict()
                | {"rule": rule.id, "why": rule.why, "docs": rule.page}
                for finding, rule in report.findings
            ],
        },
        indent=2,
        ensure_ascii=False,
    )


def github(report: Report) -> str:
    """Return workflow commands that annotate the lines of a pull request.

    https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    return "\n".join([*map(_annotation, report.findings), verdict(report)])


def verdict(report: Report) -> str:
    """Return the last line: `contract: 387 files, 2 findings, 3 suppressed`."""
    count = len(report.findings)
    findings = f"{count or 'no'} finding{'' if count == 1 else 's'}"
    count = len(report.suppressed)
    suppressed = f", {count} suppressed" if count else ""
    return f"contract: {report.files} files, {findings}{suppressed}"


FORMATS: dict[str, Callable[[Report], str]] = {
    "text": text,
    "json": as_json,
    "github": github,
}


def _text(broken: Broken) -> str:
    (path, line, problem, mend), rule = broken
    return (
        f"{path}:{line}: [{rule.id}] {problem}\n"
        f"    why:  {rule.why}\n"
        f"    mend: {mend}\n"
        f"    docs: {rule.page}"
    )


def _annotation(broken: Broken) -> str:
    (path, line, problem, mend), rule = broken
    message = f"{problem}\nWhy: {rule.why}\nMend: {mend}\nSee {rule.page}"
    place = f"file={_property(path)},line={line},title={_property(rule.id)}"
    return f"::error {place}::{_escaped(message)}"


def _escaped(message: str) -> str:
    return message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _escaped(value).replace(":", "%3A").replace(",", "%2C")
