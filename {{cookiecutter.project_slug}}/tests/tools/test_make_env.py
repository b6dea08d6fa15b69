"""`.env`: filled at random, private from the start, never overwritten."""

import stat
from pathlib import Path

import pytest

from tools import make_env

EXAMPLE = """\
# At least 32 characters.
SECRET_KEY=
API_TOKEN=
DATABASE_PASSWORD=
REDIS_PASSWORD=given
EMAIL_HOST_PASSWORD=
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".env.example").write_text(EXAMPLE)
    return tmp_path


def read(path: Path) -> dict[str, str]:
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, equals, value in pairs if equals}


def test_blank_secrets_are_filled_and_nothing_else(root: Path) -> None:
    make_env.write(root)

    written = read(root / ".env")
    filled = {name: len(value) for name, value in written.items() if len(value) > 32}
    assert filled == {"SECRET_KEY": 64, "API_TOKEN": 64, "DATABASE_PASSWORD": 64}
    assert (written["REDIS_PASSWORD"], written["EMAIL_HOST_PASSWORD"]) == ("given", "")


def test_every_secret_is_another_one(root: Path) -> None:
    make_env.write(root)
    first = read(root / ".env")
    (root / ".env").unlink()
    make_env.write(root)
    second = read(root / ".env")

    secrets = [*first.values(), *second.values()]
    assert len({secret for secret in secrets if len(secret) == 64}) == 6


def test_only_the_owner_can_read_it(root: Path) -> None:
    make_env.write(root)

    assert stat.S_IMODE((root / ".env").stat().st_mode) == 0o600


def test_existing_file_is_left_alone(root: Path) -> None:
    (root / ".env").write_text("SECRET_KEY=mine\n")

    assert not make_env.write(root)
    assert (root / ".env").read_text() == "SECRET_KEY=mine\n"


def test_every_secret_has_its_line_in_the_example() -> None:
    example = read(Path(__file__).resolve().parents[2] / ".env.example")

    assert {name: example[name] for name in make_env.SECRETS} == dict.fromkeys(
        make_env.SECRETS, ""
    )
