"""The smallest API server that `kubectl` takes for a cluster: it keeps objects, starts nothing.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import yaml

KINDS = {
    "v1": ("Namespace", "ConfigMap", "Service", "PersistentVolumeClaim"),
    "apps/v1": ("Deployment",),
    "batch/v1": ("Job",),
    "policy/v1": ("PodDisruptionBudget",),
    "networking.k8s.io/v1": ("NetworkPolicy", "Ingress"),
    "keda.sh/v1alpha1": ("ScaledObject", "TriggerAuthentication"),
}

# Seconds for which a watch is held open, in which nothing happens.
WATCH_SECONDS = 1


class Cluster:
    """What has been applied.

    Attributes:
        objects: by path.
        changes: in their order, such as `POST Job migrate`.
        job_ends: how its Jobs end: Complete or Failed.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.changes: list[str] = []
        self.job_ends = "Complete"

    def keep(self, verb: str, path: str, item: Any) -> Any:
        """Store an object as one that is at work, and return it."""
        item["metadata"] |= {"generation": 1, "resourceVersion": "1", "uid": path}
        if item["kind"] == "Job":
            item["status"] = {"conditions": [{"type": self.job_ends, "status": "True"}]}
        if item["kind"] == "Deployment":
            counts = (
                "replicas",
                "updatedReplicas",
                "readyReplicas",
                "availableReplicas",
            )
            item["status"] = dict.fromkeys(counts, item["spec"].get("replicas", 1))
            item["status"]["observedGeneration"] = 1
        self.objects[path] = item
        self.changes.append(f"{verb} {item['kind']} {item['metadata']['name']}")
        return item


@contextmanager
def running(folder: Path) -> Iterator[tuple[Cluster, Path]]:
    """Run a cluster.

    Args:
        folder: for the configuration of `kubectl`.

    Yields:
        The cluster, and the path of that configuration.
    """
    cluster = Cluster()
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        config = folder / "kubeconfig"
        known = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": address}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": ""}}],
            "current-context": "test",
        }
        config.write_text(yaml.safe_dump(known))
        try:
            yield cluster, config
        finally:
            server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    cluster: ClassVar[Cluster]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path in _DISCOVERY:
            self._answer(_DISCOVERY[url.path])
        elif url.path in self.cluster.objects:
            self._answer(self.cluster.objects[url.path])
        elif "watch" in query:
            self._watch()
        elif "fieldSelector" in query:
            name = query["fieldSelector"].partition("=")[2]
            found = self.cluster.objects.get(f"{url.path}/{name}")
            self._answer(
                {
                    "apiVersion": "apps/v1",
                    "kind": "DeploymentList",
                    "metadata": {"resourceVersion": "1"},
                    "items": [found] if found else [],
                }
            )
        else:
            self._refuse()

    def do_POST(self) -> None:
        item = self._body()
        path = f"{urlsplit(self.path).path}/{item['metadata']['name']}"
        self._answer(self.cluster.keep("POST", path, item), 201)

    def do_PATCH(self) -> None:
        self._body()  # what is changed does not matter here
        path = urlsplit(self.path).path
        item = self.cluster.objects[path]
        if item["kind"] == "Job":
            self._refuse(422, "Invalid", "spec.template: field is immutable")
        else:
            self._answer(self.cluster.keep("PATCH", path, item))

    def do_DELETE(self) -> None:
        item = self.cluster.objects.pop(urlsplit(self.path).path, None)
        if item is None:
            self._refuse()
            return
        self.cluster.changes.append(f"DELETE {item['kind']} {item['metadata']['name']}")
        self._answer({"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _watch(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.connection.settimeout(WATCH_SECONDS)
        try:
            self.connection.recv(1)
        except TimeoutError:
            pass
        self.close_connection = True

    def _refuse(
        self, code: int = 404, reason: str = "NotFound", message: str = "not found"
    ) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        details = {"reason": reason, "message": message, "code": code}
        self._answer(status | details, code)

    def _answer(self, body: Any, code: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def _plural(kind: str) -> str:
    name = kind.lower()
    if name.endswith("y"):
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith("s") else f"{name}s"


def _discovery() -> Iterator[tuple[str, Any]]:
    """Yield what `kubectl` asks for before anything else, by path."""
    places = {version: f"api{'s' * ('/' in version)}/{version}" for version in KINDS}
    yield "/version", {"major": "1", "minor": "32", "gitVersion": "v1.32.0"}
    yield "/api", {"kind": "APIVersions", "versions": ["v1"]}
    yield "/openapi/v3", {
        "paths": {
            place: {"serverRelativeURL": f"/openapi/v3/{place}"}
            for place in places.values()
        }
    }
    groups = []
    for version, place in places.items():
        group, _, number = version.rpartition("/")
        if group:
            preferred = {"groupVersion": version, "version": number}
            groups.append(
                {
                    "name": group,
                    "versions": [preferred],
                    "preferredVersion": preferred,
                }
            )
        verbs = ["create", "delete", "get", "list", "patch", "watch"]
        resources = [
            {
                "name": _plural(kind),
                "singularName": kind.lower(),
                "kind": kind,
                "namespaced": kind != "Namespace",
                "verbs": verbs,
            }
            for kind in KINDS[version]
        ]
        head = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version}
        yield f"/{place}", head | {"resources": resources}
        # Only that it can validate fields; without it, kubectl does so itself, and cannot.
        described = {
            f"/{place}/{_plural(kind)}": {
                "patch": {
                    "parameters": [{"in": "query", "name": "fieldValidation"}],
                    "responses": {},
                    "x-kubernetes-group-version-kind": {
                        "group": group,
                        "version": number,
                        "kind": kind,
                    },
                }
            }
            for kind in KINDS[version]
        }
        info = {"openapi": "3.0.0", "info": {"title": "test", "version": "1"}}
        yield f"/openapi/v3/{place}", info | {"paths": described}
    yield "/apis", {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


_DISCOVERY = dict(_discovery())
