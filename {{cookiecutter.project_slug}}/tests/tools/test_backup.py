"""`make backup` and `make restore`: what they do in which order, whatever fails."""

from pathlib import Path
from typing import Any

import pytest

from tools import backup
from tools.compose import Compose, ComposeFailed


class Recorded(Compose):
    """Notes the subcommands, and fails at one of them."""

    def __init__(self, *, fails_at: str = "", database: str = "postgres") -> None:
        """Take the subcommand that fails, and the host of the database."""
        super().__init__(["docker", "compose"])
        self.calls: list[str] = []
        self._fails_at = fails_at
        self._address = f"postgres://app@{database}:5432/app"

    def __call__(self, *arguments: str, **_: Any) -> None:
        """Note a subcommand."""
        self.calls.append(arguments[0])
        if arguments[0] == self._fails_at:
            raise ComposeFailed(arguments[0])

    def services(self) -> dict[str, Any]:
        """Return the one that tells where the database is."""
        return {"migrate": {"environment": {"DATABASE_URL": self._address}}}

    def ours(self) -> dict[str, Any]:
        """Return two services."""
        return {"web": {}, "beat": {}}

    def running(self, service: str) -> list[str]:
        """Return the containers of web; beat has none."""
        return ["id"] if service == "web" else []


@pytest.fixture
def dump(tmp_path: Path) -> str:
    """A file to restore."""
    file = tmp_path / "some.dump"
    file.write_bytes(b"PGDMP")
    return str(file)


def test_restored_database_is_migrated_before_the_service_starts(dump: str) -> None:
    compose = Recorded()

    backup.read(compose, dump)

    assert compose.calls == ["stop", "exec", "run", "up"]


@pytest.mark.parametrize(
    ("step", "done", "said"),
    [
        ("exec", ["stop", "exec", "up"], "the database is as it was"),
        ("run", ["stop", "exec", "run", "up"], "run"),
    ],
)
def test_service_starts_again_when_a_step_fails(
    dump: str, step: str, done: list[str], said: str
) -> None:
    compose = Recorded(fails_at=step)

    with pytest.raises(ComposeFailed, match=said):
        backup.read(compose, dump)

    assert compose.calls == done


def test_nothing_stops_for_a_file_that_is_not_there(tmp_path: Path) -> None:
    compose = Recorded()

    with pytest.raises(SystemExit, match="not a file"):
        backup.read(compose, str(tmp_path / "missing.dump"))

    assert compose.calls == []


def test_backup_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ComposeFailed):
        backup.write(Recorded(fails_at="exec"), str(tmp_path / "new.dump"))

    assert not [*tmp_path.iterdir()]


def test_server_of_ones_own_is_neither_saved_nor_replaced(
    dump: str, tmp_path: Path
) -> None:
    compose = Recorded(database="db.example.org")

    with pytest.raises(ComposeFailed, match="db.example.org, and only the bundled"):
        backup.read(compose, dump)
    with pytest.raises(ComposeFailed, match="only the bundled"):
        backup.write(compose, str(tmp_path / "new.dump"))

    assert compose.calls == []
