"""The order of a deploy, as the cluster sees it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

# Plays the cluster: writes down what it is asked for, and answers as kubectl does.
KUBECTL = """\
#!{python}
import json, os, sys
from pathlib import Path

arguments = sys.argv[1:]
line = " ".join(arguments)
with open({log!r}, "a") as log:
    log.write(line + "\\n")


def of(kind, name):
    return dict(kind=kind, metadata=dict(name=name, namespace="acme"))


if "apply" in arguments:
    selector = arguments[arguments.index("--selector") + 1]
    if "notin" in selector:
        print(json.dumps(dict(items=[of("Service", "api"), of("ConfigMap", "service-1")])))
    elif selector.endswith("=migrate"):
        print(json.dumps(of("Job", "migrate")))
    elif "worker" in selector:
        items = [of("Deployment", "worker-io"), of("ScaledObject", "worker-io")]
        print(json.dumps(dict(items=items)))
    else:
        print(json.dumps(dict(items=[of("Deployment", "web")])))
elif "get" in arguments:
    looks = Path({log!r}).read_text().count(" get job ")
    state = os.environ["JOB"] if looks > 1 else "Running"
    print(json.dumps(dict(status=dict(conditions=[dict(type=state, status="True")]))))
elif "logs" in arguments:
    print("column does not exist")
elif os.environ["FAILS"] and os.environ["FAILS"] in line:
    sys.exit("error: timed out waiting for the condition")
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """The folder of a `kubectl` that plays a cluster; its calls are in `log`."""
    program = tmp_path / "kubectl"
    log = str(tmp_path / "log")
    text = KUBECTL.replace("{python}", sys.executable).replace("{log!r}", repr(log))
    program.write_text(text)
    program.chmod(0o755)
    return tmp_path


def deploy(cluster: Path, **env: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Deploy to it; return how that ended, and the calls one per line."""
    finished = subprocess.run(
        [sys.executable, "-m", "tools.kubernetes.deploy", "overlay"],
        cwd=ROOT,
        env=os.environ | {"PATH": str(cluster), "JOB": "Complete", "FAILS": ""} | env,
        capture_output=True,
        text=True,
    )
    return finished, (cluster / "log").read_text()


def position(calls: str, text: str) -> int:
    found = [place for place, call in enumerate(calls.splitlines()) if text in call]
    assert found, f"{text!r} is not in\n{calls}"
    return found[0]


def test_migrations_come_first_then_workers_then_web(cluster: Path) -> None:
    finished, calls = deploy(cluster)

    assert finished.returncode == 0, finished.stderr
    steps = [
        "notin (worker, beat, metrics, web, migrate)",
        "delete --kustomize overlay --selector app.kubernetes.io/component=migrate",
        "apply --kustomize overlay --selector app.kubernetes.io/component=migrate",
        "--namespace acme get job migrate",
        "app.kubernetes.io/component in (worker, beat, metrics)",
        "--namespace acme rollout status deployment/worker-io",
        "app.kubernetes.io/component in (web)",
        "--namespace acme rollout status deployment/web",
    ]
    assert [position(calls, step) for step in steps] == sorted(
        position(calls, step) for step in steps
    )


def test_failed_migrations_leave_the_old_version(cluster: Path) -> None:
    finished, calls = deploy(cluster, JOB="Failed")

    assert finished.returncode == 1
    assert "column does not exist" in finished.stdout
    assert "make deploy: the migrations failed; what comes after" in finished.stderr
    assert "component in" not in calls


def test_worker_that_does_not_start_keeps_the_old_web(cluster: Path) -> None:
    finished, calls = deploy(cluster, FAILS="deployment/worker-io")

    assert finished.returncode == 1
    assert "timed out waiting" in finished.stderr
    assert "(web)" not in calls


def test_every_component_of_the_manifests_is_in_a_step() -> None:
    from tools.kubernetes.deploy import BACKGROUND, WEB

    base = ROOT / "deploy" / "kubernetes" / "base"
    key = "app.kubernetes.io/component: "
    found = {
        line.partition(key)[2]
        for path in base.glob("*.yaml")
        for line in path.read_text().splitlines()
        if key in line
    }

    assert found == {*BACKGROUND, *WEB, "migrate", "media"}
