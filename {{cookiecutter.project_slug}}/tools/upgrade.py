"""`make upgrade STAGE=prod`: replace every container by one of the new image.

The order is that of docs/deploys.md: the database first, then those who work in the
background, then web. Of web, the new servers answer before the old ones stop, so that no
request fails; that needs a port for each, which docker-compose.prod.yml has. Workers and
beats stop first: their tasks and ticks wait for some seconds in the database.
"""

import json
import subprocess
import sys
import time
from typing import Any


class CannotUpgrade(Exception):
    """A step failed; what has been replaced stays, the rest is the old version."""


class Compose:
    """The containers of one project."""

    def __init__(self, command: list[str]) -> None:
        """Take the command, such as `docker compose --file …`."""
        self._command = command

    def __call__(self, *arguments: str) -> None:
        """Run a subcommand.

        Raises:
            CannotUpgrade: if it fails.
        """
        if subprocess.run([*self._command, *arguments]).returncode:
            raise CannotUpgrade(f"`docker compose {' '.join(arguments)}` failed")

    def services(self) -> dict[str, Any]:
        """Return the services of the files, by name."""
        output = self.read("config", "--format", "json")
        found: dict[str, Any] = json.loads(output)["services"]
        return found

    def running(self, service: str) -> list[str]:
        """Return the ids of a service's containers, oldest first."""
        return self.read("ps", "--quiet", service).split()

    def read(self, *arguments: str) -> str:
        """Return what a subcommand prints."""
        command = [*self._command, *arguments]
        return subprocess.run(
            command, check=True, text=True, capture_output=True
        ).stdout


def main(compose: Compose) -> None:
    """Replace everything that is built from the image, one service after the other.

    Raises:
        CannotUpgrade: if a step fails.
    """
    services = compose.services()
    image = services["migrate"]["image"]
    ours = [name for name, spec in services.items() if spec.get("image") == image]
    background = [name for name in ours if name not in ("migrate", "web")]
    _say("migrate")
    compose("run", "--rm", "--no-deps", "migrate")
    for name in background:
        _say(name)
        count = str(len(compose.running(name)) or 1)
        start = ("up", "--detach", "--wait", "--no-deps", "--no-build")
        compose(*start, "--scale", f"{name}={count}", name)
    _say("web")
    _replace_web(compose, has_ports_to_spare=_ports(services["web"]) > 1)


def _replace_web(compose: Compose, *, has_ports_to_spare: bool) -> None:
    start = ("up", "--detach", "--wait", "--no-deps", "--no-build")
    old = compose.running("web")
    if not has_ports_to_spare:
        print("web has one port: it does not answer for some seconds", flush=True)
        compose(*start, "web")
        return
    for id in old:
        both = f"web={len(old) + 1}"
        compose(*start, "--no-recreate", "--scale", both, "web")
        _docker("stop", id)  # in its own time: it drains
        _docker("rm", id)
    compose(*start, "--no-recreate", "--scale", f"web={len(old)}", "web")


def _ports(service: dict[str, Any]) -> int:
    published = [str(port.get("published", "")) for port in service.get("ports", [])]
    first, dash, last = published[0].partition("-") if published else ("", "", "")
    return int(last) - int(first) + 1 if dash else len(published)


def _docker(*arguments: str) -> None:
    command = ["docker", *arguments]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise CannotUpgrade(f"`{' '.join(command)}` failed")


def _say(step: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {step}", flush=True)


if __name__ == "__main__":
    try:
        main(Compose(sys.argv[1:]))
    except CannotUpgrade as error:
        sys.exit(f"make upgrade: {error}; what comes after it is still the old version")
