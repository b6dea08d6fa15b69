"""Runbooks name commands, settings and pages that exist."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from config.env import BASE_DIR, Env

FOLDER = BASE_DIR / "docs" / "runbooks"
PAGES = sorted(FOLDER.glob("*.md"))

# Of the servers, not of the service.
FOREIGN = {"FLUSHALL", "SIGKILL", "COMPOSE_FILE"}


@pytest.fixture(params=PAGES, ids=lambda path: path.stem)
def page(request: pytest.FixtureRequest) -> str:
    path: Path = request.param
    return path.read_text()


def test_all_pages_are_listed() -> None:
    index = (FOLDER / "README.md").read_text()

    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert listed == {path.name for path in PAGES} - {"README.md"}


def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert target.startswith("https:") or (FOLDER / target).exists(), target


def test_commands_exist(page: str) -> None:
    for name in re.findall(r"manage\.py (\w+)", page):
        # `python manage.py` alone is how it is called in containers.
        assert name in {*get_commands(), "in"}, name


def test_settings_exist(page: str) -> None:
    for name in re.findall(r"`([A-Z]+_[A-Z_]+)\b", page):
        assert name in Env.model_fields or name in FOREIGN, name
