"""`secrets/`: different values, out of other people's sight, never overwritten."""

import re
import stat
from pathlib import Path

from tools import make_secrets


def test_secrets_differ_and_only_their_owner_can_reach_them(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"

    written = make_secrets.write(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    values = {(folder / name).read_text().strip() for name in written}
    assert len(values) == len(written) >= 5
    assert min(map(len, values)) >= 50  # fewer are W009 of `check --deploy`


def test_address_of_redis_has_its_password(tmp_path: Path) -> None:
    make_secrets.write(tmp_path)

    password = (tmp_path / "redis_password").read_text().strip()
    url = (tmp_path / "redis_url").read_text().strip()
    assert url == f"redis://:{password}@redis:6379"


def test_every_secret_of_production_is_written(tmp_path: Path) -> None:
    production = (make_secrets.ROOT / "docker-compose.prod.yml").read_text()

    make_secrets.write(tmp_path)

    files = {path.name for path in tmp_path.iterdir()}
    assert files == set(re.findall(r"file: secrets/(\w+)", production))


def test_value_of_env_is_taken_over_and_a_blank_one_is_not(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_PASSWORD=of-the-database\nSECRET_KEY=\n")

    make_secrets.write(tmp_path / "secrets")

    assert (tmp_path / "secrets/database_password").read_text() == "of-the-database\n"
    assert len((tmp_path / "secrets/secret_key").read_text()) >= 50


def test_existing_secret_stays(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("mine")

    assert "secret_key" not in make_secrets.write(tmp_path)

    assert (tmp_path / "secret_key").read_text() == "mine"
