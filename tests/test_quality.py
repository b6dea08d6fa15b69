"""What every bake must pass, by the commands that its own users have.

The bakes share one environment, which `make test` installs once, from the lock file of the
larger one. Those tests that are run on PostgreSQL need one in `DATABASE_URL`
(`.ci/with-servers make test`); RabbitMQ is started by the bake's own tests.
"""

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.baking import ROOT, bake

VENV = ROOT / ".cache" / "venv"

# Samples or not, and the target of the project's Makefile, on SQLite and Redis. The larger
# bake has the benchmarks of the smaller one, too.
TESTS = [("yes", "test"), ("no", "test"), ("yes", "bench")]

# What is promised of durable tasks is promised on both databases and both brokers. Chaos
# takes minutes: it has each of them once.
RUNS = [
    ("no", "test", "postgres", "rabbitmq"),
    ("yes", "chaos", "postgres", "redis"),
    ("no", "chaos", "sqlite", "rabbitmq"),
]
WHERE = {"test": "tests/ledger tests/integration", "chaos": "tests/chaos"}

SOAK = {"SEED": "1", "TASKS": "600"}


@pytest.fixture
def project(tmp_path: Path, samples: str) -> Path:
    """A fresh bake with or without samples; the larger one has all other options, too."""
    deployment = "kubernetes" if samples == "yes" else "compose"
    broker = "rabbitmq" if samples == "yes" else "redis"
    others = {"monitoring": samples, "deployment": deployment, "broker": broker}
    baked = bake(tmp_path, {"include_samples": samples} | others)
    assert baked.exit_status == 0, baked.output
    return baked.root


def run(project: Path, *command: str, **env: str) -> None:
    """Run a command in the project, and show what it printed if it failed."""
    finished = subprocess.run(
        command,
        cwd=project,
        env=environment() | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout


def environment() -> dict[str, str]:
    """Return our environment without what could change what is tested."""
    known = ("PATH", "HOME", "REQUIRE_SERVERS")
    kept = {name: os.environ[name] for name in known if name in os.environ}
    return kept | {"LANG": "C.UTF-8"}


# Each with a cache of its own: in a shared one, mypy's Django plugin looks for the models of
# the other bake.
@pytest.mark.parametrize("samples", ["yes", "no"])
def test_style_types_layers_and_contract_are_clean(project: Path) -> None:
    run(project, "make", f"VENV={VENV}", "lint")


@pytest.mark.parametrize("samples", ["yes", "no"])
def test_migrations_are_complete(project: Path) -> None:
    run(project, f"{VENV}/bin/python", "manage.py", "makemigrations", "--check")


@pytest.mark.slow
@pytest.mark.parametrize(("samples", "target"), TESTS, ids=lambda value: value)
def test_own_tests_pass(project: Path, target: str) -> None:
    run(project, "make", f"VENV={VENV}", target)


@pytest.mark.slow
@pytest.mark.parametrize(("samples", "target", "database", "broker"), RUNS)
def test_durable_tasks_keep_their_promises_on_every_database_and_broker(
    project: Path, database: str, broker: str, target: str
) -> None:
    run(
        project,
        "make",
        f"VENV={VENV}",
        target,
        f"PYTEST_ARGS={WHERE[target]}",
        TEST_BROKER=broker,
        TEST_DATABASE_URL=database_url(database, f"{broker}_{target}"),
    )


@pytest.mark.slow
@pytest.mark.parametrize("samples", ["no"])
def test_random_faults_break_no_promise(project: Path) -> None:
    settings = [f"{name}={value}" for name, value in SOAK.items()]
    run(project, "make", f"VENV={VENV}", "soak", *settings)


def database_url(kind: str, name: str) -> str:
    """Return the address of a database that no other run uses; blank for SQLite."""
    if kind == "sqlite":
        return ""
    if server := os.environ.get("DATABASE_URL"):
        return urlsplit(server)._replace(path=f"/{name}").geturl()
    reason = "needs a PostgreSQL in DATABASE_URL: .ci/with-servers make test"
    if os.environ.get("REQUIRE_SERVERS"):
        pytest.fail(reason)
    pytest.skip(reason)
