"""For how long a worker may be silent, and how it gives back what it holds.

A lease is a time in the row, by the database's clock. The worker renews it while its pool
executes the run; when it runs out, any relay may start the run again.
"""

import os
import socket
from uuid import uuid4

from config.env import env
from ledger import sql


class Worker:
    """Which worker this process belongs to: pool processes inherit it from their parent."""

    name = f"{socket.gethostname()}:{os.getpid()}"
    main_process = 0

    @classmethod
    def start(cls, hostname: str) -> None:
        """Name this worker; a part is random, because process ids are used again.

        Args:
            hostname: Celery's name for the worker, such as `io@host`.
        """
        cls.main_process = os.getpid()
        cls.name = f"{hostname}:{cls.main_process}:{uuid4().hex[:8]}"[-255:]


def release(id: str, token: str, *, crashed: bool = True) -> bool:
    """Free a run whose pool process is gone: the relay takes it at once, not in 30 s.

    Only the worker that holds it may say so, and only about the message that it started.

    Args:
        id: of the run.
        token: of the message.
        crashed: whether the run may be to blame; it is not, when its worker is stopping.

    Returns:
        Whether this worker still held it.
    """
    changed = sql.execute(
        f"""
        UPDATE ledger_taskrun
        SET lease_until = {sql.now()},
            crashes = CASE WHEN crashes > 0 THEN crashes - %s ELSE 0 END
        WHERE id = %s AND token = %s AND worker = %s AND state = 'running'
            AND lease_until > {sql.now()}
        """,
        [0 if crashed else 1, id, token, Worker.name],
    )
    return changed == 1


def release_all() -> int:
    """Free what this worker still holds when it stops; a deploy is not a crash.

    What is free already stays as it is: a start is taken back once, and a crash never.
    """
    return sql.execute(
        f"""
        UPDATE ledger_taskrun
        SET lease_until = {sql.now()},
            crashes = CASE WHEN crashes > 0 THEN crashes - 1 ELSE 0 END
        WHERE worker = %s AND state = 'running' AND lease_until > {sql.now()}
        """,
        [Worker.name],
    )


def renew(ids: list[str]) -> int:
    """Renew the leases of these runs, as far as this worker still holds them.

    A locked row is just being ended by its process, which may take its time, in an errback
    for example. Waiting for it would let the leases of all others lapse.
    """
    return sql.execute(
        f"""
        UPDATE ledger_taskrun SET lease_until = {sql.from_now()}
        WHERE id IN (
            SELECT id FROM ledger_taskrun
            WHERE state = 'running' AND worker = %s AND id IN ({sql.placeholders(ids)})
            {sql.for_update()}
        )
        """,
        [env.LEDGER_LEASE_SECONDS, Worker.name, *ids],
    )
