"""The Deployments of the workers, as far as the contract needs them.

The standard library has no YAML; this reads the plain form that `make manifests` writes: one
document for each object, and each value that matters on the line of its key.
"""

import re
from collections.abc import Iterator

from tools.contract.project import Project
from tools.contract.worker import Deployment, Worker

WORKERS = "deploy/kubernetes/base/workers.yaml"

_KIND = re.compile(r"^kind: Deployment$", re.MULTILINE)
_NAME = re.compile(r"^  name: (\S+)$", re.MULTILINE)
_QUEUES = re.compile(r"^ +command: \[.*\bmanage\.py, worker, ([\w, ]+)\]", re.MULTILINE)
_GRACE = re.compile(r"^ +terminationGracePeriodSeconds: (\d+)$", re.MULTILINE)
_TOLD = re.compile(r"^ +- \{name: WORKER_SHUTDOWN_GRACE, value: (.+)\}$", re.MULTILINE)


def workers(project: Project) -> list[Worker]:
    """Return the Deployments that serve queues, in the order of the file."""
    return [
        Worker(
            _first(_NAME, text),
            line,
            _first(_QUEUES, text).split(", "),
            _seconds(_first(_GRACE, text)),
            _longest(_first(_TOLD, text)),
        )
        for line, text in _documents(project)
        if _KIND.search(text) and _QUEUES.search(text)
    ]


DEPLOYMENT = Deployment(
    workers,
    grace="terminationGracePeriodSeconds: {}, by `make manifests`",
    worker="its workers by `make manifests`",
)


def _documents(project: Project) -> Iterator[tuple[int, str]]:
    """Yield each document with the number of its first line."""
    first, lines = 1, list[str]()
    for number, line in project.lines(WORKERS):
        if line == "---":
            yield first, "\n".join(lines)
            first, lines = number + 1, []
        else:
            lines.append(line)
    yield first, "\n".join(lines)


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _seconds(number: str) -> int | None:
    return int(number) if number else None


def _longest(pairs: str) -> int | None:
    """Return the longest of `io=310,cpu=610`; None if there is none."""
    found = [int(seconds) for seconds in re.findall(r"=(\d+)", pairs)]
    return max(found, default=None)
