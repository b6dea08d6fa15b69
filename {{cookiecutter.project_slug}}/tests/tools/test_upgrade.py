"""`make upgrade`: what it replaces, in which order."""

import json
from typing import Any

import pytest

from tools import upgrade
from tools.compose import Compose

IMAGE = {"image": "service:2"}
SERVICES: dict[str, Any] = {
    "beat": IMAGE,
    "flower": {"image": "flower", "profiles": ["tools"]},
    "metrics": {**IMAGE, "profiles": ["monitoring"]},
    "migrate": IMAGE,
    "redis": {"image": "redis"},
    "web": IMAGE,
    "worker-io": IMAGE,
}


class Engine(Compose):
    """Compose, without an engine: notes what is asked of it."""

    def __init__(self, **running: int) -> None:
        """Take how many containers run of which service; otherwise it is one."""
        super().__init__(["docker", "compose"])
        self._running = running
        self.started: list[str] = []

    def __call__(self, *arguments: str, **options: Any) -> None:
        """Note which service is started."""
        self.started.append(" ".join(arguments[-3:]))

    def read(self, *arguments: str) -> str:
        """Answer `config` and `ps`."""
        if arguments[0] == "config":
            return json.dumps({"services": SERVICES})
        return "id " * self._running.get(arguments[-1], 1)


def test_replaces_whatever_runs_the_image_beats_and_web_last() -> None:
    engine = Engine(beat=2)

    upgrade.main(engine)

    assert engine.started == [
        "--rm --no-deps migrate",
        "--scale metrics=1 metrics",
        "--scale worker-io=1 worker-io",
        "--scale beat=2 beat",
        "--no-deps --no-build web",
    ]


def test_starts_nothing_of_a_profile_that_does_not_run() -> None:
    engine = Engine(metrics=0)

    upgrade.main(engine)

    assert not [each for each in engine.started if "metrics" in each]


def test_starts_a_worker_that_had_stopped() -> None:
    engine = Engine(**{"worker-io": 0})

    upgrade.main(engine)

    assert "--scale worker-io=1 worker-io" in engine.started


def test_services_of_profiles_are_seen_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **options: Any) -> Any:
        asked.append(command)
        raise InterruptedError

    monkeypatch.setattr("subprocess.run", run)

    with pytest.raises(InterruptedError):
        Compose(["docker", "compose"]).services()

    assert asked == [
        ["docker", "compose", "--profile", "*", "config", "--format", "json"]
    ]
