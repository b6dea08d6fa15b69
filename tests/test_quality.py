"""What every bake must pass, as its own users would run it, in one shared environment.

`make test` installs that environment once, from the lock file of the larger bake.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.baking import ROOT, bake

PYTHON = ROOT / ".cache" / "venv" / "bin" / "python"
MYPY_CACHE = ROOT / ".cache" / "mypy"

BAKES = ("yes", "no")

CHECKS = {
    "black": ("black", "--check", "--quiet", "."),
    "isort": ("isort", "--check", "."),
    "import-linter": ("importlinter.cli", "lint"),
    "contract": ("tools.contract",),
    "migrations": ("django", "makemigrations", "--check"),
}

TESTS = {
    "tests": (),
    "chaos tests": ("-m", "chaos"),
    "benchmarks": ("-m", "performance"),
}


@pytest.fixture
def project(tmp_path: Path, samples: str) -> Iterator[Path]:
    """A fresh bake with or without samples."""
    baked = bake(tmp_path, {"include_samples": samples})
    assert baked.exit_status == 0, baked.output
    yield baked.root


def run(project: Path, *module: str) -> None:
    """Run a Python module in the project, and show what it printed if it failed.

    The process sees no variable that could change what is tested.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = {"DJANGO_SETTINGS_MODULE": "tests.settings", "LANG": "C.UTF-8"}
    finished = subprocess.run(
        [str(PYTHON), "-m", *module],
        cwd=project,
        env=kept | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize("samples", BAKES)
@pytest.mark.parametrize("command", CHECKS.values(), ids=list(CHECKS))
def test_check_passes(project: Path, command: tuple[str, ...]) -> None:
    run(project, *command)


# In one process after the other, so that the second finds Django's types in the cache.
@pytest.mark.xdist_group("mypy")
@pytest.mark.parametrize("samples", BAKES)
def test_types_are_strict_and_right(project: Path) -> None:
    run(project, "mypy", "--strict", "--cache-dir", str(MYPY_CACHE), ".")


@pytest.mark.parametrize("samples", BAKES)
@pytest.mark.parametrize("arguments", TESTS.values(), ids=list(TESTS))
def test_own_tests_pass(project: Path, arguments: tuple[str, ...]) -> None:
    run(project, "pytest", "--quiet", *arguments)
