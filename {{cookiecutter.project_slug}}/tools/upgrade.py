"""`make upgrade`: replace every container by one of the new image.

The order is that of docs/deploys.md: the database first, then those who work in the
background, then web. What is new is at work before the old one is told to stop: a queue has
a worker while an old one finishes what it runs, for half an hour at times, and no request
fails. For web that needs ports to spare, which docker-compose.prod.yml has.
"""

import json
import sys
import time
from typing import Any

from tools.compose import Compose, ComposeFailed


def main(compose: Compose) -> None:
    """Replace everything that is built from the image, one service after the other.

    Raises:
        ComposeFailed: if a step fails; what has been replaced stays.
    """
    services = compose.ours()
    _say("migrate")
    compose("run", "--rm", "--no-deps", "migrate")
    # Beats after workers: what a new one enqueues must be known to them.
    for name in sorted(
        services, key=lambda name: (name == "web", name == "beat", name)
    ):
        if services[name].get("profiles") and not compose.running(name):
            continue  # nobody asked for it
        _say(name)
        _replace(compose, name, services[name])


def _replace(compose: Compose, name: str, service: dict[str, Any]) -> None:
    compose("rm", "--force", name)  # what has stopped would be started as it was
    here = _inspect(compose, compose.running(name))
    made_of = [_made_of(each) for each in here]
    ports = _ports(service)
    # An upgrade that failed has left some of each kind.
    count = max(map(made_of.count, made_of), default=0)
    if ports or not here:
        count = max(count, service.get("scale") or 1)
    if ports == 1:
        print(f"{name} has one port: it does not answer for some seconds", flush=True)
        compose.start("--scale", f"{name}={count}", name)
        return
    wanted = _wanted(compose, name, len(here))
    outdated = [each for each in here if _made_of(each) != wanted]
    old = [each["Id"] for each in outdated if _is_at_work(each)]
    # A start would wait for the others, too; nothing else does.
    _remove(compose, [each["Id"] for each in outdated if not _is_at_work(each)])
    new = len(here) - len(outdated)
    at_once = 1 if ports else count
    while old:
        new = min(new + at_once, count)
        compose.start("--no-recreate", "--scale", f"{name}={len(old) + new}", name)
        leaving, old = old[:at_once], old[at_once:]
        _say(f"{name}: new at work, {len(leaving)} old finishing")
        _remove(compose, leaving)
    compose.start("--no-recreate", "--scale", f"{name}={count}", name)


def _wanted(compose: Compose, name: str, here: int) -> str:
    """Return what one more container is made of; `config --hash` says something else."""
    beside = ("--no-deps", "--no-build", "--no-recreate")
    compose("up", "--no-start", *beside, "--scale", f"{name}={here + 1}", name)
    created = compose.read("ps", "--quiet", "--status", "created", name).split()
    [one] = _inspect(compose, created[-1:])
    compose("rm", "--force", name)
    return _made_of(one)


def _inspect(compose: Compose, ids: list[str]) -> list[dict[str, Any]]:
    return json.loads(compose.docker("inspect", *ids)) if ids else []


def _made_of(container: dict[str, Any]) -> str:
    """Return its image and its settings."""
    settings = container["Config"]["Labels"]["com.docker.compose.config-hash"]
    return f"{container['Image']} {settings}"


def _is_at_work(container: dict[str, Any]) -> bool:
    """Return whether it says so, or nobody asks."""
    health = container["State"].get("Health")
    return not health or health["Status"] == "healthy"


def _remove(compose: Compose, ids: list[str]) -> None:
    if ids:
        compose.docker("stop", *ids)  # within its own grace: it finishes what it runs
        compose.docker("rm", *ids)


def _ports(service: dict[str, Any]) -> int:
    published = [str(port.get("published", "")) for port in service.get("ports", [])]
    first, dash, last = published[0].partition("-") if published else ("", "", "")
    return int(last) - int(first) + 1 if dash else len(published)


def _say(step: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {step}", flush=True)


if __name__ == "__main__":
    try:
        main(Compose(sys.argv[1:]))
    except ComposeFailed as error:
        sys.exit(f"make upgrade: {error}; what comes after it is still the old version")
