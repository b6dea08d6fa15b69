"""`make backup` and `make restore`: the containers' PostgreSQL, into a file and back.

What is on the broker needs no backup: every run of a task is a row, and what the broker
lost is sent again.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from tools.compose import Compose, ComposeFailed

FOLDER = Path("var/backups")

IN_POSTGRES = ("exec", "--no-TTY", "postgres")
DUMP = ("pg_dump", "--username", "app", "--dbname", "app", "--format", "custom")
# Into a schema as empty as that of a new database, because what is newer than the backup may
# refer to what is in it. All or nothing: the end of a broken backup is no COMMIT, and psql
# then rolls back. https://www.postgresql.org/docs/18/ddl-schemas.html#DDL-SCHEMAS-PATTERNS
RESTORE = """
set -o pipefail
{
    cat <<'SQL'
BEGIN;
SET LOCAL client_min_messages = warning;
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
COMMENT ON SCHEMA public IS 'standard public schema';
GRANT USAGE ON SCHEMA public TO PUBLIC;
SQL
    pg_restore --file - && echo 'COMMIT;'
} | psql --username app --dbname app --no-psqlrc --quiet --output /dev/null \
    --set ON_ERROR_STOP=1
"""


def write(compose: Compose, file: str) -> Path:
    """Write a backup, while the service runs.

    Args:
        compose: of the containers.
        file: where to; blank for a name with the time.

    Returns:
        Where to. It is there once it is complete, and its owner's alone.

    Raises:
        ComposeFailed: if there is no backup now.
    """
    _refuse_own_server(compose)
    target = Path(file) if file else FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}.dump"
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "wb") as output:
            compose(*IN_POSTGRES, *DUMP, stdin=subprocess.DEVNULL, stdout=output)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def read(compose: Compose, file: str) -> None:
    """Put a backup in the place of the database, and migrate it.

    Web, workers and beat stop meanwhile; they are at work again when this returns.

    Raises:
        ComposeFailed: if a step fails; the database is then as it was, or as the backup.
        SystemExit: if there is no such file; nothing was stopped.
    """
    source = Path(file)
    if not source.is_file():
        raise SystemExit(f"make restore: FILE={file} is not a file")
    _refuse_own_server(compose)
    counts = {name: len(compose.running(name)) for name in compose.ours()}
    users = {name: count for name, count in counts.items() if count}
    if users:
        compose("stop", *users)
    try:
        _replace_database(compose, source)
        compose("run", "--rm", "--no-deps", "migrate")
    finally:
        if users:
            scales = [f"--scale={name}={count}" for name, count in users.items()]
            # From the image that has migrated, which may be the one to go back to.
            compose.start(*scales, *users)


def _refuse_own_server(compose: Compose) -> None:
    address = compose.services()["migrate"]["environment"]["DATABASE_URL"]
    host = urlsplit(address).hostname
    if host != "postgres":
        raise ComposeFailed(
            f"DATABASE_URL names {host}, and only the bundled PostgreSQL is known here;"
            " use pg_dump and pg_restore there"
        )


def _replace_database(compose: Compose, source: Path) -> None:
    try:
        with source.open("rb") as content:
            compose(*IN_POSTGRES, "bash", "-c", RESTORE, stdin=content)
    except ComposeFailed:
        # Not the command: it is a page long, and the reason stands above.
        raise ComposeFailed(f"the database is as it was, not as {source}") from None


if __name__ == "__main__":
    act, path, *command = sys.argv[1:]
    try:
        if act == "write":
            print(f"Wrote {write(Compose(command), path)}")
        else:
            read(Compose(command), path)
            print(f"Restored {path}")
    except ComposeFailed as error:
        sys.exit(f"make {'backup' if act == 'write' else 'restore'}: {error}")
