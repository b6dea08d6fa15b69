"""The image has what the service is made of, and nothing that is secret."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_image_has_every_package_of_the_service() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["importlinter"]["root_packages"]

    lines = (ROOT / ".dockerignore").read_text().splitlines()

    admitted = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert {*packages, "manage.py", "requirements.txt"} <= admitted
    assert "*" in lines
    assert not admitted & {".", ".env", ".git", "secrets", "var", "tests"}
