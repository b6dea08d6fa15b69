"""`make backup` and `make restore`: the containers' PostgreSQL, into a file and back.

What is on the broker needs no backup: every run of a task is a row, and what the broker
lost is sent again.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

FOLDER = Path("var/backups")

# What goes on during a restore.
SERVERS = ("postgres", "redis", "rabbitmq")

DATABASE = ("--username", "app", "--dbname", "app")
DUMP = ("pg_dump", *DATABASE, "--format", "custom")
# All or nothing: a restore that fails leaves the database as it was.
RESTORE = (
    *("pg_restore", *DATABASE, "--clean", "--if-exists"),
    *("--single-transaction", "--exit-on-error"),
)


def write(compose: list[str], file: str) -> Path:
    """Write a backup, while the service runs.

    Args:
        compose: the command, such as `docker compose`.
        file: where to; blank for a name with the time.

    Returns:
        Where to. It is there once it is complete, and its owner's alone.
    """
    target = Path(file) if file else FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}.dump"
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f"{target.name}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as output:
        _in_postgres(compose, DUMP, stdout=output)
    draft.replace(target)
    return target


def read(compose: list[str], file: str) -> None:
    """Put a backup in the place of the database; web, workers and beat stop meanwhile."""
    source = Path(file)
    if not source.is_file():
        raise SystemExit(f"make restore: FILE={file} is not a file")
    running = subprocess.run(
        [*compose, "ps", "--services"], check=True, text=True, capture_output=True
    ).stdout.split()
    others = [name for name in running if name not in SERVERS]
    if others:
        subprocess.run([*compose, "stop", *others], check=True)
    try:
        with source.open("rb") as content:
            _in_postgres(compose, RESTORE, stdin=content)
    finally:
        if others:
            subprocess.run([*compose, "start", *others], check=True)


def _in_postgres(
    compose: list[str],
    command: tuple[str, ...],
    *,
    stdin: IO[bytes] | None = None,
    stdout: IO[bytes] | None = None,
) -> None:
    whole = [*compose, "exec", "--no-TTY", "postgres", *command]
    source = stdin or subprocess.DEVNULL
    if status := subprocess.run(whole, stdin=source, stdout=stdout).returncode:
        raise SystemExit(f"{command[0]} failed with status {status}")


if __name__ == "__main__":
    act, path, *command_line = sys.argv[1:]
    if act == "write":
        print(f"Wrote {write(command_line, path)}")
    else:
        read(command_line, path)
        print(f"Restored {path}")
