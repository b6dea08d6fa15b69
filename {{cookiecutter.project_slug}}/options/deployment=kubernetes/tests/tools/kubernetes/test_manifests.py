"""Manifests follow from the topology, and their settings are those of the service."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from config import gunicorn, queues
from config.env import FROM_FILES, Env
from tools.kubernetes import __main__ as tool
from tools.kubernetes.sizes import SIZES

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "deploy" / "kubernetes"
TEMPLATE = (FOLDER / "templates" / "worker.yaml").read_text()


def settings() -> dict[str, str]:
    """Return the settings of a pod in production."""
    return dict(
        line.split("=", 1)
        for folder in ("base", "overlays/production")
        for line in (FOLDER / folder / "config.env").read_text().splitlines()
        if line and not line.startswith("#")
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of deploy/kubernetes, to be spoilt."""
    folder = tmp_path / "deploy" / "kubernetes"
    shutil.copytree(FOLDER, folder)
    return folder


# --- what the topology says


def test_manifests_are_what_the_topology_says() -> None:
    assert tool.main(["--check"]) == 0, "run `make manifests`"


def test_changed_limit_is_written_into_the_manifests(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = copy / "base" / "workers.yaml"
    right = workers.read_text()
    workers.write_text(right.replace("PeriodSeconds: 310", "PeriodSeconds: 30"))

    assert tool.main(["--check"], copy) == 1
    late = "deploy/kubernetes/base/workers.yaml is out of date: run `make manifests`"
    assert capsys.readouterr().err.strip() == late
    assert workers.read_text() != right
    assert tool.main([], copy) == 0
    assert workers.read_text() == right


def test_pod_and_worker_have_the_same_grace() -> None:
    sizes = SIZES | {"slow": replace(SIZES["slow"], shutdown_grace=60)}

    written = tool.manifest(TEMPLATE, sizes=sizes)

    assert "PeriodSeconds: 60\n" in written and "PeriodSeconds: 1810" not in written
    assert "{name: WORKER_SHUTDOWN_GRACE, value: slow=60}" in written


def test_new_queue_is_asked_for_its_size() -> None:
    mail = replace(queues.by_name("io"), name="mail")

    with pytest.raises(tool.CannotWrite, match="'mail' is not in tools/kube.*sizes.py"):
        tool.manifest(TEMPLATE, [*queues.QUEUES, mail])


def test_size_of_a_queue_that_is_gone_is_not_kept() -> None:
    with pytest.raises(tool.CannotWrite, match="'slow' is not in config/queues.py"):
        tool.manifest(TEMPLATE, [q for q in queues.QUEUES if q.name != "slow"])


def test_one_process_per_core_is_refused_because_a_node_has_many() -> None:
    sizes = SIZES | {"cpu": replace(SIZES["cpu"], processes=None)}

    with pytest.raises(tool.CannotWrite, match="'cpu' has one process per core"):
        tool.manifest(TEMPLATE, sizes=sizes)


@pytest.mark.parametrize("wrong", [{"min_workers": 11}, {"min_workers": -1}])
def test_more_workers_at_least_than_at_most_is_refused(wrong: dict[str, int]) -> None:
    size = replace(SIZES["io"], **wrong)  # type: ignore[arg-type]  # ints only

    with pytest.raises(tool.CannotWrite, match="'io': expected 0 <= min_workers"):
        tool.manifest(TEMPLATE, sizes=SIZES | {"io": size})


def test_refusal_is_one_line_and_writes_nothing(copy: Path) -> None:
    before = (copy / "base" / "workers.yaml").read_text()
    code = (
        "import runpy; from tools.kubernetes import sizes; sizes.SIZES.pop('io'); "
        "runpy.run_module('tools.kubernetes', run_name='__main__')"
    )

    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )

    assert finished.returncode == 1
    assert finished.stderr.strip() == (
        "make manifests: queue 'io' is not in tools/kubernetes/sizes.py"
    )
    assert (FOLDER / "base" / "workers.yaml").read_text() == before


# --- what the service understands


def test_every_setting_is_one_that_the_service_has() -> None:
    known = {*Env.model_fields, *(f"{name}_FILE" for name in FROM_FILES)}
    metadata = set(re.findall(r"name: (WORKER_\w+),", TEMPLATE))

    assert metadata | set(settings()) <= known


def test_service_starts_with_these_settings(tmp_path: Path) -> None:
    addresses = {
        "broker_url": "amqps://app:secret@rabbitmq.example.org:5671/app",
        "database_url": "postgres://app:secret@db.example.org:5432/app",
        "redis_url": "rediss://:secret@redis.example.org:6379",
    }
    env = settings()
    for name, value in env.items():
        if value.startswith("/secrets/"):
            secret = tmp_path / Path(value).name
            secret.write_text(addresses.get(secret.name, "x" * 40) + "\n")
            env[name] = str(secret)
    path = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull}

    started = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=env | path,
        capture_output=True,
        text=True,
    )

    assert started.returncode == 0, started.stderr


def test_web_has_time_to_be_forgotten_and_to_finish() -> None:
    web = (FOLDER / "base" / "web.yaml").read_text()
    [grace] = re.findall(r"terminationGracePeriodSeconds: (\d+)", web)

    drain = float(settings()["WEB_DRAIN_SECONDS"])
    assert drain >= 5
    assert int(grace) >= drain + gunicorn.graceful_timeout + 5


def test_ports_are_those_that_the_service_listens_on() -> None:
    env = settings()
    opened = {
        name: re.findall(r"containerPort: (\d+)", (FOLDER / "base" / name).read_text())
        for name in ("web.yaml", "metrics.yaml")
    }

    assert opened["web.yaml"] == [env["WEB_PORT"], env["WEB_METRICS_PORT"]]
    assert opened["metrics.yaml"] == [env["METRICS_PORT"]]


def test_pods_run_as_the_user_of_the_image() -> None:
    pod = (FOLDER / "base" / "pod.yaml").read_text()
    [uid] = re.findall(r"ARG UID=(\d+)", (ROOT / "Dockerfile").read_text())

    for field in ("runAsUser", "runAsGroup", "fsGroup"):
        assert re.search(rf"{field}: {uid}\n", pod), field
