"""`docker compose`, as the other tools use it. By whatever Python 3 there is."""

import json
import subprocess
from typing import Any


class ComposeFailed(Exception):
    """A subcommand failed; it has said why."""


class Compose:
    """The containers of one project."""

    def __init__(self, command: list[str]) -> None:
        """Take the command, such as `docker compose --file …`."""
        # What a profile added must be seen; nothing is started unless it is named.
        self._command = [*command, "--profile", "*"]

    def __call__(self, *arguments: str, **options: Any) -> None:
        """Run a subcommand.

        Args:
            arguments: of the subcommand.
            options: of `subprocess.run`.

        Raises:
            ComposeFailed: if it fails.
        """
        if subprocess.run([*self._command, *arguments], **options).returncode:
            raise ComposeFailed(f"`docker compose {' '.join(arguments)}` failed")

    def read(self, *arguments: str) -> str:
        """Return what a subcommand prints.

        Raises:
            ComposeFailed: if it fails.
        """
        return _output([*self._command, *arguments])

    def docker(self, *arguments: str) -> str:
        """Return what a command of Docker itself prints.

        Raises:
            ComposeFailed: if it fails.
        """
        return _output(["docker", *arguments])

    def start(self, *arguments: str) -> None:
        """Start what the arguments name, and nothing else, and wait until it is at work."""
        self("up", "--detach", "--wait", "--no-deps", "--no-build", *arguments)

    def services(self) -> dict[str, Any]:
        """Return the services of the files, those of every profile included, by name."""
        whole = json.loads(self.read("config", "--format", "json"))
        found: dict[str, Any] = whole["services"]
        return found

    def ours(self) -> dict[str, Any]:
        """Return those that run the service's own image, but for the migrations."""
        services = self.services()
        image = services.pop("migrate")["image"]
        return {
            name: spec for name, spec in services.items() if spec.get("image") == image
        }

    def running(self, service: str) -> list[str]:
        """Return the ids of a service's containers, oldest first."""
        return self.read("ps", "--quiet", service).split()


def _output(command: list[str]) -> str:
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        raise ComposeFailed(f"`{' '.join(command)}` failed")
    return done.stdout
