"""`python -m tools.contract`: check the project in the current folder."""

import sys
from pathlib import Path

from tools.contract.project import Project
from tools.contract.rules import RULES

if __name__ == "__main__":
    project = Project(Path.cwd())
    findings = sorted(finding for rule in RULES for finding in rule(project))
    for finding in findings:
        print(finding, file=sys.stderr)
    count = len(findings) or "no"
    verdict = f"{count} finding{'' if count == 1 else 's'}"
    print(f"contract: {len(project.files)} files, {verdict}")
    sys.exit(bool(findings))
