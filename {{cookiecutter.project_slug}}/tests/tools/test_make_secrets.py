"""`secrets/`: different values, out of other people's sight, never overwritten."""

import re
import shutil
import stat
from pathlib import Path

import pytest

from tools import make_env, make_secrets


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


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("REDIS_URL", "rediss://:pw@redis.example.org:6379"),
        ("BROKER_URL", "amqps://user:p%3Dw@rabbit.example.org:5671/host"),
        ("DATABASE_URL", "postgres://user:pw@db.example.org:5432/app"),
    ],
)
def test_server_of_your_own_is_never_replaced_by_a_bundled_one(
    tmp_path: Path, name: str, address: str
) -> None:
    (tmp_path / ".env").write_text(f"{name}={address}\n")

    make_secrets.write(tmp_path / "secrets")

    # Without a file, containers get the address from `.env`, as `env_file` says.
    file = tmp_path / "secrets" / name.lower()
    assert not file.exists() or file.read_text() == f"{address}\n"
    production = (make_secrets.ROOT / "docker-compose.prod.yml").read_text()
    assert file.exists() == (f"{name}_FILE" in production)


@pytest.mark.parametrize(
    "address",
    ["", "redis://localhost:6379", "redis://:pw@127.0.0.1", "redis://[::1]:6379/0"],
)
def test_address_of_this_machine_means_nothing_in_a_container(
    tmp_path: Path, address: str
) -> None:
    env = f"REDIS_URL={address}\nREDIS_PASSWORD=of-redis\n"
    (tmp_path / ".env").write_text(env)

    make_secrets.write(tmp_path / "secrets")

    url = (tmp_path / "secrets/redis_url").read_text()
    assert url == "redis://:of-redis@redis:6379\n"


def test_fresh_env_means_the_bundled_servers(tmp_path: Path) -> None:
    shutil.copy(make_secrets.ROOT / ".env.example", tmp_path)
    make_env.write(tmp_path)

    make_secrets.write(tmp_path / "secrets")

    for path in (tmp_path / "secrets").glob("*_url"):
        assert re.search(r"@(redis|rabbitmq):\d+", path.read_text()), path.name


def test_value_in_quotes_is_taken_over_without_them(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_PASSWORD='of-the-database'\n")

    make_secrets.write(tmp_path / "secrets")

    assert (tmp_path / "secrets/database_password").read_text() == "of-the-database\n"


def test_existing_secret_stays(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("mine")

    assert "secret_key" not in make_secrets.write(tmp_path)

    assert (tmp_path / "secret_key").read_text() == "mine"
