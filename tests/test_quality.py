"""What every bake must pass, by the commands that its own users have.

The bakes share one environment, which `make test` installs once, from the lock file of the
larger one.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.baking import ROOT, bake

VENV = ROOT / ".cache" / "venv"

# Samples or not, and the target of the project's Makefile. The larger bake has the chaos
# tests and the benchmarks of the smaller one, too.
TESTS = [("yes", "test"), ("no", "test"), ("yes", "chaos"), ("yes", "bench")]


@pytest.fixture
def project(tmp_path: Path, samples: str) -> Path:
    """A fresh bake with or without samples."""
    baked = bake(tmp_path, {"include_samples": samples})
    assert baked.exit_status == 0, baked.output
    return baked.root


def run(project: Path, *command: str) -> None:
    """Run a command in the project, and show what it printed if it failed.

    It sees no variable of ours that could change what is tested.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    finished = subprocess.run(
        command,
        cwd=project,
        env=kept | {"LANG": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout


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
