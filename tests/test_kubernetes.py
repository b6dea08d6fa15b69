"""The manifests of a bake, rendered by kustomize: valid, complete, and fit for each other."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests import cluster
from tests.baking import bake

# The oldest version that knows all of it, and the newest whose schemas we have.
VERSIONS = ("1.28", kubernetes_validate.latest_version())

Manifest = dict[str, Any]


def _object(required: list[str], **properties: Any) -> Manifest:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


_TEXT = {"type": "string", "minLength": 1}
_COUNT = {"type": "integer", "minimum": 0}
_METADATA = _object(
    ["name", "namespace"],
    name=_TEXT,
    namespace=_TEXT,
    labels={"type": "object", "additionalProperties": _TEXT},
)

# What of KEDA's own resources is used here, by their definitions of 2.20; everything else is
# refused: https://github.com/kedacore/keda/tree/main/config/crd/bases
KEDA = {
    "ScaledObject": _object(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "keda.sh/v1alpha1"},
        kind=_TEXT,
        metadata=_METADATA,
        spec=_object(
            ["scaleTargetRef", "triggers"],
            scaleTargetRef=_object(["name"], name=_TEXT),
            pollingInterval={"type": "integer", "minimum": 1},
            minReplicaCount=_COUNT,
            maxReplicaCount={"type": "integer", "minimum": 1},
            advanced=_object(
                [],
                horizontalPodAutoscalerConfig=_object([], behavior={"type": "object"}),
            ),
            triggers={
                "type": "array",
                "minItems": 1,
                "items": _object(
                    ["type", "metadata"],
                    # https://keda.sh/docs/latest/scalers/postgresql/
                    type={"const": "postgresql"},
                    name=_TEXT,
                    metricType={"enum": ["AverageValue", "Value"]},
                    authenticationRef=_object(["name"], name=_TEXT),
                    metadata=_object(
                        ["query", "targetQueryValue"],
                        query=_TEXT,
                        targetQueryValue=_TEXT,
                    ),
                ),
            },
        ),
    ),
    "TriggerAuthentication": _object(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "keda.sh/v1alpha1"},
        kind=_TEXT,
        metadata=_METADATA,
        spec=_object(
            ["secretTargetRef"],
            secretTargetRef={
                "type": "array",
                "items": _object(
                    ["parameter", "name", "key"],
                    parameter={"const": "connection"},
                    name=_TEXT,
                    key=_TEXT,
                ),
            },
        ),
    ),
}


def kubectl() -> str:
    """Return the program; skip, or fail where nothing may be left out, if there is none."""
    if program := shutil.which("kubectl"):
        return program
    if os.environ.get("REQUIRE_SERVERS"):
        pytest.fail("needs kubectl, which renders the manifests")
    pytest.skip("needs kubectl, which renders the manifests")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scratch = tmp_path_factory.mktemp("kubernetes")
    baked = bake(scratch, {"deployment": "kubernetes", "include_samples": "no"})
    assert baked.exit_status == 0, baked.output
    return baked.root


@pytest.fixture(scope="module")
def objects(project: Path) -> list[Manifest]:
    """What `kubectl apply -k` would send to the cluster."""
    overlay = project / "deploy" / "kubernetes" / "overlays" / "production"
    rendered = subprocess.run(
        [kubectl(), "kustomize", str(overlay)], capture_output=True, text=True
    )
    assert (rendered.returncode, rendered.stderr) == (0, "")
    return list(yaml.safe_load_all(rendered.stdout))


@pytest.fixture(scope="module")
def queues(project: Path) -> tuple[Any, ...]:
    """The topology of the bake."""
    path = project / "config" / "queues.py"
    spec = importlib.util.spec_from_file_location("topology_of_a_bake", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return tuple(module.QUEUES)


def validate(manifest: Manifest, version: str) -> None:
    if schema := KEDA.get(manifest["kind"]):
        jsonschema.validate(manifest, schema)
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


def of_kind(objects: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in objects if manifest["kind"] in kinds]


def names(manifests: list[Manifest]) -> set[str]:
    return {manifest["metadata"]["name"] for manifest in manifests}


def pods(objects: list[Manifest]) -> dict[str, Manifest]:
    """Return the template of each pod by the name of what starts it."""
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]
        for manifest in of_kind(objects, "Deployment", "Job")
    }


def containers(pod: Manifest) -> Iterator[Manifest]:
    yield from pod["spec"].get("initContainers", [])
    yield from pod["spec"]["containers"]


def selected(
    objects: list[Manifest], selector: Mapping[str, Any]
) -> dict[str, Manifest]:
    """Return the pods that a selector finds."""
    wanted = {key: [value] for key, value in selector.get("matchLabels", {}).items()}
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        wanted[expression["key"]] = expression["values"]
    return {
        name: pod
        for name, pod in pods(objects).items()
        if all(pod["metadata"]["labels"].get(key) in wanted[key] for key in wanted)
    }


# --- the schemas


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_one_that_the_api_takes(
    objects: list[Manifest], version: str
) -> None:
    for manifest in objects:
        validate(manifest, version)


@pytest.mark.parametrize("kind", ["Deployment", "ScaledObject"])
def test_misspelt_field_is_seen(objects: list[Manifest], kind: str) -> None:
    manifest = of_kind(objects, kind)[0]
    wrong = manifest | {"spec": manifest["spec"] | {"replica": 3}}

    with pytest.raises(jsonschema.ValidationError):
        validate(wrong, VERSIONS[-1])


# --- what fits to what


def test_every_queue_has_workers_that_scale_and_survive_the_drain_of_a_node(
    objects: list[Manifest], queues: tuple[Any, ...]
) -> None:
    expected = {f"worker-{queue.name}" for queue in queues}

    targets = of_kind(objects, "ScaledObject")
    workers = [name for name in pods(objects) if name.startswith("worker-")]
    assert set(workers) == expected
    assert {target["spec"]["scaleTargetRef"]["name"] for target in targets} == expected
    for target in targets:
        triggers = target["spec"]["triggers"]
        assert [trigger["name"] for trigger in triggers] == ["length", "age"]
    assert names(of_kind(objects, "PodDisruptionBudget")) == expected | {"web", "beat"}


def test_worker_has_the_time_that_its_queue_gives(
    objects: list[Manifest], queues: tuple[Any, ...]
) -> None:
    for queue in queues:
        pod = pods(objects)[f"worker-{queue.name}"]["spec"]
        grace = pod["terminationGracePeriodSeconds"]
        env = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
        assert grace == queue.shutdown_grace
        assert grace > queue.time_limit or not queue.drain
        assert env["WORKER_SHUTDOWN_GRACE"] == f"{queue.name}={grace}"
        assert pod["containers"][0]["command"][-2:] == ["worker", queue.name]


def test_number_of_workers_is_left_to_the_autoscaler(objects: list[Manifest]) -> None:
    for manifest in of_kind(objects, "Deployment"):
        is_worker = manifest["metadata"]["name"].startswith("worker-")
        assert ("replicas" in manifest["spec"]) is not is_worker


def test_web_is_replaced_without_a_gap(objects: list[Manifest]) -> None:
    [web] = [
        found for found in of_kind(objects, "Deployment") if names([found]) == {"web"}
    ]
    [container] = web["spec"]["template"]["spec"]["containers"]

    assert web["spec"]["replicas"] >= 2
    assert web["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_every_reference_has_its_object(objects: list[Manifest]) -> None:
    maps = names(of_kind(objects, "ConfigMap"))
    claims = names(of_kind(objects, "PersistentVolumeClaim"))
    for name, pod in pods(objects).items():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            assert claim is None or claim in claims, name
        for container in containers(pod):
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(
                volumes
            )
            [source] = container["envFrom"]
            assert source["configMapRef"]["name"] in maps
    logins = names(of_kind(objects, "TriggerAuthentication"))
    for target in of_kind(objects, "ScaledObject"):
        for trigger in target["spec"]["triggers"]:
            assert trigger["authenticationRef"]["name"] in logins


def test_every_selector_finds_its_pods(objects: list[Manifest]) -> None:
    for manifest in of_kind(objects, "Deployment", "PodDisruptionBudget"):
        found = selected(objects, manifest["spec"]["selector"])
        assert list(found) == [manifest["metadata"]["name"]]
    [service] = of_kind(objects, "Service")
    assert list(selected(objects, {"matchLabels": service["spec"]["selector"]})) == [
        "web"
    ]
    for policy in of_kind(objects, "NetworkPolicy"):
        found = selected(objects, policy["spec"]["podSelector"])
        assert found, policy["metadata"]["name"]
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                for pod in found.values():
                    [container] = pod["spec"]["containers"]
                    assert port["port"] in {open["name"] for open in container["ports"]}


# --- what a pod may do


def test_every_pod_may_do_as_little_as_in_compose(objects: list[Manifest]) -> None:
    for name, pod in pods(objects).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] == 10001, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            for bound in ("requests", "limits"):
                assert set(container["resources"][bound]) == {"cpu", "memory"}, name


def test_every_server_is_probed(objects: list[Manifest]) -> None:
    probes = {"startupProbe", "livenessProbe", "readinessProbe"}
    for manifest in of_kind(objects, "Deployment"):
        [container] = manifest["spec"]["template"]["spec"]["containers"]
        assert probes <= set(container), manifest["metadata"]["name"]


def test_nobody_talks_to_anybody_unless_a_policy_says_so(
    objects: list[Manifest],
) -> None:
    policies = {
        policy["metadata"]["name"]: policy["spec"]
        for policy in of_kind(objects, "NetworkPolicy")
    }

    assert policies["nothing"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    callers = selected(objects, policies["internet"]["podSelector"])
    assert "worker-io" in callers
    assert not {"web", "beat", "migrate", "worker-cpu"} & set(callers)
    for policy in policies.values():
        assert all(rule["from"] for rule in policy.get("ingress", []))


def test_no_secret_is_in_the_manifests(objects: list[Manifest], project: Path) -> None:
    env = dict(
        line.split("=", 1)
        for line in (project / ".env").read_text().splitlines()
        if "=" in line and line[0] != "#"
    )

    assert not of_kind(objects, "Secret")
    text = yaml.safe_dump_all(objects)
    for name in ("SECRET_KEY", "API_TOKEN", "DATABASE_PASSWORD", "REDIS_PASSWORD"):
        assert len(env[name]) >= 32 and env[name] not in text


# --- the deploy


def deploy(project: Path, config: Path) -> subprocess.CompletedProcess[str]:
    known = {"PATH": os.environ["PATH"], "HOME": str(config.parent)}
    return subprocess.run(
        ["make", "deploy"],
        cwd=project,
        env=known | {"KUBECONFIG": str(config)},
        capture_output=True,
        text=True,
    )


def test_deploy_migrates_then_replaces_workers_then_web(
    project: Path, tmp_path: Path
) -> None:
    kubectl()
    with cluster.running(tmp_path) as (ours, config):
        first = deploy(project, config)
        fresh, ours.changes = ours.changes, []
        second = deploy(project, config)
        again = ours.changes

    assert (first.returncode, first.stderr) == (0, "")
    assert (second.returncode, second.stderr) == (0, "")
    steps = ["Namespace", "Job migrate", "Deployment worker-io", "Deployment web"]
    places = [place(fresh, f"POST {step}") for step in steps]
    assert places == sorted(places)
    assert place(fresh, "POST ConfigMap") < place(fresh, "POST Job migrate")
    # A Job of the same name could not be changed.
    assert place(again, "DELETE Job migrate") < place(again, "POST Job migrate")


def test_deploy_ends_when_the_migrations_fail(project: Path, tmp_path: Path) -> None:
    kubectl()
    with cluster.running(tmp_path) as (ours, config):
        ours.job_ends = "Failed"
        finished = deploy(project, config)

    assert finished.returncode
    assert "what comes after it is still the old version" in finished.stderr
    assert not any("Deployment" in change for change in ours.changes)


def place(changes: list[str], start: str) -> int:
    [found, *_] = [n for n, change in enumerate(changes) if change.startswith(start)]
    return found
