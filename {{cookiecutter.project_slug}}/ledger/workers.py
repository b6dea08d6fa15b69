"""Which workers are alive, and how they are: a row each, written with every heartbeat.

So one question to the database answers for all hosts, and no worker has to listen on a port.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from celery import current_app
from celery.worker import state

from config.env import env
from ledger import sql
from ledger.lease import Worker

# So many heartbeats may be late before a worker counts as gone.
MISSED_BEATS = 3


def report(consumer: Any) -> None:
    """Say that this worker is alive.

    Args:
        consumer: of the worker, which knows its pool.
    """
    queues = ",".join(sorted(current_app.amqp.queues.consume_from))
    processes = [process.pid for process in _processes(consumer)]
    memory = memory_of([Worker.main_process, *processes])
    busy = len(state.active_requests)
    sql.execute(
        f"""
        INSERT INTO ledger_liveworker (name, queues, processes, busy, memory_bytes)
        VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (name) DO UPDATE
        SET queues = excluded.queues, processes = excluded.processes,
            busy = excluded.busy, memory_bytes = excluded.memory_bytes,
            seen_at = {sql.now()}
        """,
        [Worker.name, queues, len(processes), busy, memory],
    )


def leave() -> None:
    """Say that this worker has ended; forget those that could not say so themselves."""
    sql.execute(
        f"DELETE FROM ledger_liveworker WHERE name = %s OR seen_at < {sql.from_now()}",
        [Worker.name, -env.LEDGER_KEEP_SECONDS],
    )


def seconds_until_gone() -> float:
    """Return for how long a worker may be silent before it counts as gone."""
    return MISSED_BEATS * env.LEDGER_HEARTBEAT_SECONDS


def memory_of(pids: Iterable[int]) -> int | None:
    """Return the bytes that these processes use together; None where nobody tells.

    Proportional: what forked processes share counts once.
    https://docs.kernel.org/filesystems/proc.html (smaps_rollup)
    """
    sizes = [_proportional_bytes(pid) for pid in pids]
    known = [size for size in sizes if size is not None]
    return sum(known) if known else None


def _proportional_bytes(pid: int) -> int | None:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None  # it has ended, or this is no Linux
    sizes = [line.split()[1] for line in lines if line.startswith("Pss:")]
    return int(sizes[0]) * 1024 if sizes else None


def _processes(consumer: Any) -> list[Any]:
    """Return the processes of a prefork pool, which keeps them where nobody is to look."""
    pool = getattr(consumer.pool, "_pool", None)
    return list(getattr(pool, "_pool", ()))
