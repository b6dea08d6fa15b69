"""`make upgrade`: replace every container by one of the new image.

The order is that of docs/deploys.md: the database first, then those who work in the
background, then web. Of web, the new servers answer before the old ones stop, so that no
request fails; that needs a port for each, which docker-compose.prod.yml has. Workers and
beats stop first: their tasks and ticks wait for some seconds in the database.
"""

import subprocess
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
    web = services.pop("web")
    _say("migrate")
    compose("run", "--rm", "--no-deps", "migrate")
    # Beats last: what a new one enqueues must be known to the workers.
    for name in sorted(services, key=lambda name: (name == "beat", name)):
        count = len(compose.running(name))
        if not count and services[name].get("profiles"):
            continue  # nobody asked for it
        _say(name)
        compose.start("--scale", f"{name}={count or 1}", name)
    _say("web")
    _replace_web(compose, has_ports_to_spare=_ports(web) > 1)


def _replace_web(compose: Compose, *, has_ports_to_spare: bool) -> None:
    old = compose.running("web")
    if not has_ports_to_spare:
        print("web has one port: it does not answer for some seconds", flush=True)
        compose.start("web")
        return
    for id in old:
        compose.start("--no-recreate", "--scale", f"web={len(old) + 1}", "web")
        _docker("stop", id)  # in its own time: it drains
        _docker("rm", id)
    compose.start("--no-recreate", "--scale", f"web={len(old)}", "web")


def _ports(service: dict[str, Any]) -> int:
    published = [str(port.get("published", "")) for port in service.get("ports", [])]
    first, dash, last = published[0].partition("-") if published else ("", "", "")
    return int(last) - int(first) + 1 if dash else len(published)


def _docker(*arguments: str) -> None:
    command = ["docker", *arguments]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise ComposeFailed(f"`{' '.join(command)}` failed")


def _say(step: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {step}", flush=True)


if __name__ == "__main__":
    try:
        main(Compose(sys.argv[1:]))
    except ComposeFailed as error:
        sys.exit(f"make upgrade: {error}; what comes after it is still the old version")
