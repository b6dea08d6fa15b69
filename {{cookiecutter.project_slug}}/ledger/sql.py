"""What the ledger's statements need to be the same on PostgreSQL and SQLite.

All times come from the database's clock, because the clocks of workers differ: a lease is
only as good as the clock that all of them share.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection

from ledger.states import ACTIVE, State


def now() -> str:
    """Return the SQL for the database's time at this statement, not at the transaction's.

    Not `clock_timestamp()`, which moves on within a statement, and so cannot be looked up
    in an index: https://www.postgresql.org/docs/current/xfunc-volatility.html
    """
    if connection.vendor == "postgresql":
        return "statement_timestamp()"
    return "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"


def this_moment() -> str:
    """Return the SQL for the database's time, after having waited for a lock, too."""
    return "clock_timestamp()" if connection.vendor == "postgresql" else now()


def from_now() -> str:
    """Return the SQL for a number of seconds from now: one parameter, NULL gives NULL."""
    return later("%s")


def later(seconds: str) -> str:
    """Return the SQL for a time from now.

    Args:
        seconds: SQL for the number of seconds; negative ones are in the past.
    """
    return plus(now(), seconds)


def plus(time: str, seconds: str) -> str:
    """Return the SQL for a time and a number of seconds later.

    Args:
        time: SQL for the time.
        seconds: SQL for the number of seconds.
    """
    if connection.vendor == "postgresql":
        return f"{time} + ({seconds}) * interval '1 second'"
    return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', {time}, ({seconds}) || ' seconds')"


def seconds_since(time: str) -> str:
    """Return the SQL for how many seconds ago a time was; NULL gives NULL."""
    if connection.vendor == "postgresql":
        return f"extract(epoch FROM {now()} - {time})::float"
    return f"((julianday('now') - julianday({time})) * 86400)"


def seconds_between(first: str, last: str) -> str:
    """Return the SQL for the seconds from one time to another; NULL gives NULL."""
    if connection.vendor == "postgresql":
        return f"extract(epoch FROM {last} - {first})::float"
    return f"((julianday({last}) - julianday({first})) * 86400)"


def latest(*times: str) -> str:
    """Return the SQL for the last of some times."""
    function = "greatest" if connection.vendor == "postgresql" else "max"
    return f"{function}({', '.join(times)})"


def earliest(*times: str) -> str:
    """Return the SQL for the first of some times."""
    function = "least" if connection.vendor == "postgresql" else "min"
    return f"{function}({', '.join(times)})"


def for_update() -> str:
    """Return the end of a SELECT whose rows are about to be taken, but for locked ones.

    SQLite has one writer at a time, so that there is nothing to lock or to skip.
    """
    if not connection.features.has_select_for_update:
        return ""
    return "FOR UPDATE SKIP LOCKED"


def lock_if_free(key: int) -> bool:
    """Take a lock until the end of the transaction, without waiting; return whether it is held.

    SQLite has one writer at a time, so that there is nothing to lock.
    https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS

    Args:
        key: of the lock, known to all that want it.
    """
    if connection.vendor != "postgresql":
        return True
    return bool(fetch("SELECT pg_try_advisory_xact_lock(%s)", [key])[0][0])


def without_waiting_for_disk() -> str:
    """Return the end of a RETURNING clause that makes its commit not wait for the disk.

    For claims, and for ends from which nothing follows. If a crash of the database undoes
    a claim, the run is rung again and the worker's end refused; if it undoes an end, the run
    starts again, as if its worker had died just before. Commits reach the disk in order:
    whoever stores something because of an end that they saw has it on the disk first.
    https://www.postgresql.org/docs/current/wal-async-commit.html
    """
    if connection.vendor == "postgresql":
        return ", set_config('synchronous_commit', 'off', true)"
    return ""


def in_states(*states: State) -> str:
    """Return the SQL that a row is in one of these states, in the wording of the indexes."""
    names = ", ".join(f"'{state.value}'" for state in states)
    return f"state IN ({names})" if len(states) > 1 else f"state = {names}"


def not_final() -> str:
    """Return the SQL that a row has not ended."""
    return in_states(*sorted(ACTIVE))


def placeholders(values: Sequence[Any]) -> str:
    """Return one placeholder per value, with commas between."""
    return ", ".join(["%s"] * len(values))


def assign(columns: Sequence[str]) -> str:
    """Return the SQL that sets columns, with one placeholder each."""
    return ", ".join(f"{column} = %s" for column in columns)


def storable(text: str) -> str:
    """Return a text that a database takes: NUL and half characters become escapes.

    PostgreSQL refuses the one, no driver encodes the other. In JSON they are escapes anyway.
    """
    encoded = text.encode("utf-8", "backslashreplace")
    return encoded.decode().replace("\x00", "\\x00")


def fetch(statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Execute a statement and return the rows that it yields."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def execute(statement: str, parameters: Sequence[Any] = ()) -> int:
    """Execute a statement and return how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)
