"""The services of the compose files, as far as the contract needs them.

The standard library has no YAML; this reads the plain form that the files keep to: two
blanks per level, and each value that matters on the line of its key.
"""

import re
from typing import NamedTuple

from tools.contract.project import Project
from tools.contract.worker import Deployment, Worker

COMPOSE = "docker-compose.yml"

# What a stage lays over it; each has an image, and what else a worker needs, of its own.
OVERLAYS = ("docker-compose.prod.yml", "docker-compose.dev.yml")

_SERVICE = re.compile(r"  ([\w.-]+):\s*(\*[\w-]+\s*)?(#.*)?$")
_VALUE = re.compile(r"    ([\w.-]+):\s+(.+?)(\s+#.*)?$")
_WORKER = re.compile(r"\bmanage\.py worker ([\w ]+)$")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class Service(NamedTuple):
    """One service with the plain values directly below it."""

    name: str
    line: int
    values: dict[str, str]

    @property
    def queues(self) -> list[str]:
        """The queues that it serves: `io` for `python manage.py worker io`."""
        command = re.sub(r"[\[\]\"',]+", " ", self.values.get("command", ""))
        served = _WORKER.search(" ".join(command.split()))
        return served[1].split() if served else []

    @property
    def grace_seconds(self) -> int | None:
        """Its `stop_grace_period`, such as `1m30s`, in seconds; None if it has none."""
        duration = _DURATION.fullmatch(self.values.get("stop_grace_period", ""))
        if not duration or not duration[0]:
            return None
        hours, minutes, seconds = (int(part or 0) for part in duration.groups())
        return hours * 3600 + minutes * 60 + seconds


def workers(project: Project) -> list[Worker]:
    """Return the services that serve queues, in the order of the file."""
    return [
        Worker(service.name, service.line, service.queues, service.grace_seconds)
        for service in services(project, COMPOSE)
        if service.queues
    ]


def services(project: Project, file: str) -> list[Service]:
    """Return the services of a compose file, in its order."""
    found: list[Service] = []
    section = ""
    for number, line in project.lines(file):
        if re.match(r"[\w-]", line):
            section = line.partition(":")[0]
        if section != "services":
            continue
        if service := _SERVICE.match(line):
            found.append(Service(service[1], number, {}))
        elif found and (value := _VALUE.match(line)):
            found[-1].values[value[1]] = value[2]
    return found


DEPLOYMENT = Deployment(
    workers,
    grace="stop_grace_period: {}s",
    worker="a service with `python manage.py worker {}`",
)
