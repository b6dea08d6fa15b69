"""`make upgrade`: what it replaces, in which order, and who works meanwhile."""

import itertools
import json
from dataclasses import dataclass
from typing import Any

import pytest

from tools import upgrade
from tools.compose import Compose, ComposeFailed

IMAGE = {"image": "service:2"}
SERVICES: dict[str, Any] = {
    "beat": {**IMAGE, "scale": 2},
    "flower": {"image": "flower", "profiles": ["tools"]},
    "metrics": {**IMAGE, "profiles": ["monitoring"]},
    "migrate": IMAGE,
    "redis": {"image": "redis"},
    "web": {**IMAGE, "ports": [{"published": "8000-8003"}]},
    "worker-io": IMAGE,
}


@dataclass
class Container:
    """What the engine knows of one."""

    service: str
    image: str
    settings: str
    health: str = "healthy"


class Engine(Compose):
    """Docker and Compose, without containers: notes which services come and go."""

    def __init__(self, **running: int) -> None:
        """Take how many containers run of which service; otherwise it is one."""
        super().__init__(["docker", "compose"])
        self.containers: dict[str, Container] = {}
        self.numbers = itertools.count(1)
        self.image = "1"
        self.settings = "1"
        self.broken: set[str] = set()
        self.steps: list[str] = []
        for service in SERVICES:
            for _ in range(running.get(service, 1)):
                self._add(service)
        self.image = "2"

    def __call__(self, *arguments: str, **options: Any) -> None:
        """Run `run`, `rm` or `up`."""
        if arguments[0] == "run":
            self.steps.append(arguments[-1])
        elif arguments[0] == "up":
            self._up(arguments[-1], arguments)
        else:
            assert arguments[:2] == ("rm", "--force")
            for id in self.of(arguments[2]):
                if self.containers[id].health in ("stopped", "created"):
                    del self.containers[id]

    def read(self, *arguments: str) -> str:
        """Answer `config` and `ps`, whose services are those that run."""
        if arguments[0] == "ps":
            created = "--status" in arguments
            return "\n".join(
                id
                for id in self.of(arguments[-1])
                if self.containers[id].health != "stopped"
                and (self.containers[id].health == "created") == created
            )
        return json.dumps({"services": SERVICES})

    def docker(self, *arguments: str) -> str:
        """Answer `inspect`; `stop` and `rm` containers."""
        if arguments[0] == "inspect":
            return json.dumps([self._inspect(id) for id in arguments[1:]])
        for id in arguments[1:]:
            if arguments[0] == "rm":
                assert self.containers.pop(id).health == "stopped"
            else:
                self.containers[id].health = "stopped"
                self.steps.append(f"-{self.containers[id].service}")
        return ""

    def of(self, service: str) -> list[str]:
        """Return the containers of a service, oldest first."""
        return [id for id, each in self.containers.items() if each.service == service]

    def images(self, service: str) -> list[str]:
        """Return the images of the containers of a service that are at work."""
        found = [self.containers[id] for id in self.of(service)]
        return [each.image for each in found if each.health == "healthy"]

    def _inspect(self, id: str) -> dict[str, Any]:
        found = self.containers[id]
        labels = {"com.docker.compose.config-hash": found.settings}
        return {
            "Id": id,
            "Image": found.image,
            "Config": {"Labels": labels},
            "State": {"Health": {"Status": found.health}},
        }

    def _add(self, service: str) -> None:
        health = "unhealthy" if service in self.broken else "healthy"
        id = f"{service}-{next(self.numbers)}"
        self.containers[id] = Container(service, self.image, self.settings, health)

    def _up(self, service: str, arguments: tuple[str, ...]) -> None:
        wanted = int(arguments[arguments.index("--scale") + 1].partition("=")[2])
        if "--no-start" in arguments:
            self._add(service)
            self.containers[self.of(service)[-1]].health = "created"
            return
        if "--no-recreate" not in arguments:
            for id in self.of(service):
                self.docker("stop", id)
                self.docker("rm", id)
        assert len(self.of(service)) <= wanted
        while len(self.of(service)) < wanted:
            self._add(service)
            self.steps.append(f"+{service}")
        if {self.containers[id].health for id in self.of(service)} - {"healthy"}:
            raise ComposeFailed(f"{service} is unhealthy")


def test_replaces_whatever_runs_the_image_beats_and_web_last() -> None:
    engine = Engine(beat=2)

    upgrade.main(engine)

    assert engine.steps == [
        "migrate",
        *("+metrics", "-metrics"),
        *("+worker-io", "-worker-io"),
        *("+beat", "+beat", "-beat", "-beat"),
        *("+web", "-web"),
    ]


def test_queue_keeps_as_many_workers_as_it_has() -> None:
    engine = Engine(**{"worker-io": 3})

    upgrade.main(engine)

    steps = [step for step in engine.steps if step.endswith("io")]
    assert steps == ["+worker-io"] * 3 + ["-worker-io"] * 3
    assert engine.images("worker-io") == ["2"] * 3


def test_servers_are_replaced_one_after_the_other() -> None:
    engine = Engine(web=2)

    upgrade.main(engine)

    assert engine.steps[-4:] == ["+web", "-web", "+web", "-web"]
    assert engine.images("web") == ["2", "2"]


def test_without_a_port_to_spare_a_server_stops_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SERVICES, "web", {**IMAGE, "ports": [{"published": "8000"}]})
    engine = Engine()

    upgrade.main(engine)

    assert engine.steps[-2:] == ["-web", "+web"]


def test_starts_nothing_of_a_profile_that_does_not_run() -> None:
    engine = Engine(metrics=0)

    upgrade.main(engine)

    assert not engine.of("metrics")


def test_starts_what_had_stopped() -> None:
    engine = Engine(beat=0)
    engine.containers[engine.of("worker-io")[0]].health = "stopped"

    upgrade.main(engine)

    assert engine.images("worker-io") == ["2"]
    assert engine.images("beat") == ["2", "2"]


def test_old_one_that_is_not_at_work_is_not_waited_for() -> None:
    engine = Engine(**{"worker-io": 2})
    engine.containers[engine.of("worker-io")[0]].health = "unhealthy"

    upgrade.main(engine)

    assert engine.images("worker-io") == ["2", "2"]


def test_old_workers_go_on_if_the_new_ones_do_not_start() -> None:
    engine = Engine(**{"worker-io": 2})
    engine.broken = {"worker-io"}

    with pytest.raises(ComposeFailed):
        upgrade.main(engine)

    assert engine.images("worker-io") == ["1", "1"]
    assert engine.images("web") == ["1"]


@pytest.mark.parametrize("image", ["2", "3", "1"])
def test_second_upgrade_finishes_what_a_first_one_began(image: str) -> None:
    engine = Engine(**{"worker-io": 2, "web": 2})
    engine.broken = {"worker-io"}
    with pytest.raises(ComposeFailed):
        upgrade.main(engine)
    engine.broken = set()
    for id in engine.of("worker-io"):
        if engine.image == image:
            engine.containers[id].health = "healthy"  # what kept it from work is over
    engine.image = image

    upgrade.main(engine)

    assert engine.images("worker-io") == [image, image]
    assert engine.images("web") == [image, image]
    assert engine.images("beat") == [image]
    assert len(engine.of("worker-io")) == 2


def test_what_is_new_stays() -> None:
    engine = Engine()
    upgrade.main(engine)
    engine.steps = []

    upgrade.main(engine)

    assert engine.steps == ["migrate"]


def test_new_settings_of_the_same_image_are_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine()
    upgrade.main(engine)
    engine.steps = []
    engine.settings = "2"

    upgrade.main(engine)

    assert engine.steps[1:5] == ["+metrics", "-metrics", "+worker-io", "-worker-io"]


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
