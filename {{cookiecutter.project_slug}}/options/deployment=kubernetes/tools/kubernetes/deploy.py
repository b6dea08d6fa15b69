"""`make deploy`: bring an overlay to the cluster that `kubectl` is connected to.

The order is that of docs/deploys.md: the database first, then those who work in the
background, then web. If a step fails, what comes after it is still the old version.
"""

import json
import subprocess
import sys
import time
from typing import Any

# Each step waits until the pods of these are at work; see the labels of the manifests.
BACKGROUND = ("worker", "beat", "metrics")
WEB = ("web",)

COMPONENT = "app.kubernetes.io/component"

POLL_SECONDS = 2.0

# For pods that do not become ready: a wrong image, or a node that has no room.
READY_SECONDS = 600


class CannotDeploy(Exception):
    """A step failed."""


class Cluster:
    """`kubectl`, and the folder that it applies."""

    def __init__(self, overlay: str) -> None:
        """Take the folder of the overlay."""
        self.overlay = overlay

    def apply(self, selector: str) -> list[dict[str, Any]]:
        """Apply those objects of the overlay whose labels fit, and return them.

        Raises:
            CannotDeploy: if the cluster refuses one of them.
        """
        command = ("apply", "--kustomize", self.overlay, "--selector", selector)
        found = json.loads(self("", *command, "--output", "json"))
        items: list[dict[str, Any]] = found.get("items", [found])
        for item in items:
            print(f"  {item['kind']} {item['metadata']['name']}", flush=True)
        return items

    def __call__(self, namespace: str, *arguments: str) -> str:
        """Run a command of kubectl in a namespace and return what it prints.

        Raises:
            CannotDeploy: if it fails; it has said why.
        """
        command = _kubectl(namespace, *arguments)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise CannotDeploy(f"`kubectl {' '.join(arguments)}` failed")
        return done.stdout

    def show(self, namespace: str, *arguments: str) -> None:
        """Run a command for a person to read; it may fail."""
        subprocess.run(_kubectl(namespace, *arguments))


def main(cluster: Cluster) -> None:
    """Apply everything, one step after the other.

    Raises:
        CannotDeploy: if a step fails.
    """
    _say("settings, network, storage")
    last = (*BACKGROUND, *WEB, "migrate")
    cluster.apply(f"{COMPONENT} notin ({', '.join(last)})")
    _say("migrate")
    _migrate(cluster)
    for components in (BACKGROUND, WEB):
        _say(", ".join(components))
        applied = cluster.apply(f"{COMPONENT} in ({', '.join(components)})")
        for item in applied:
            if item["kind"] == "Deployment":
                _wait_until_at_work(cluster, item["metadata"])


def _migrate(cluster: Cluster) -> None:
    """Run the migrations of the new image; nothing else is replaced if they fail."""
    command = ("delete", "--kustomize", cluster.overlay, "--selector")
    cluster("", *command, f"{COMPONENT}=migrate", "--ignore-not-found", "--wait")
    [job] = cluster.apply(f"{COMPONENT}=migrate")
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    while True:
        found = json.loads(cluster(namespace, "get", "job", name, "--output", "json"))
        conditions = found.get("status", {}).get("conditions", [])
        ended = {each["type"] for each in conditions if each["status"] == "True"}
        if "Complete" in ended:
            return
        if "Failed" in ended:
            cluster.show(namespace, "logs", f"job/{name}", "--tail", "30")
            raise CannotDeploy("the migrations failed")
        time.sleep(POLL_SECONDS)


def _wait_until_at_work(cluster: Cluster, deployment: dict[str, Any]) -> None:
    name, timeout = f"deployment/{deployment['name']}", f"--timeout={READY_SECONDS}s"
    cluster(deployment["namespace"], "rollout", "status", name, timeout)


def _kubectl(namespace: str, *arguments: str) -> list[str]:
    return ["kubectl", *(["--namespace", namespace] if namespace else []), *arguments]


def _say(step: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {step}", flush=True)


if __name__ == "__main__":
    try:
        main(Cluster(sys.argv[1]))
    except CannotDeploy as error:
        sys.exit(f"make deploy: {error}; what comes after it is still the old version")
