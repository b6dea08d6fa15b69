"""Pin the generated project's dependencies: versions and hashes, for every bake.

The projects with and without samples need different libraries, so that each has its own
pair of files: one in the project's root, one in the overlay of `include_samples=yes`.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "{{cookiecutter.project_slug}}"
LOCK_FILES = ("requirements.txt", "requirements-dev.txt")
DESTINATIONS = {"no": PROJECT, "yes": PROJECT / "options" / "include_samples=yes"}


def lock(samples: str, destination: Path, *, upgrade: bool) -> None:
    """Bake one variant, pin its dependencies and bring the result home.

    Args:
        samples: the value of `include_samples`.
        destination: the folder of the template that keeps the two files.
        upgrade: take the newest versions allowed instead of the pinned ones.
    """
    with tempfile.TemporaryDirectory() as scratch:
        bake = [sys.executable, "-m", "cookiecutter", "--no-input", str(ROOT)]
        bake += ["--output-dir", scratch, "project_slug=locked"]
        subprocess.run([*bake, f"include_samples={samples}"], check=True)
        baked = Path(scratch) / "locked"
        command = ["make", "lock", *(["UPGRADE=1"] if upgrade else [])]
        subprocess.run(command, cwd=baked, check=True)
        for name in LOCK_FILES:
            shutil.copyfile(baked / name, destination / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true")
    arguments = parser.parse_args()
    for value, folder in DESTINATIONS.items():
        lock(value, folder, upgrade=arguments.upgrade)
