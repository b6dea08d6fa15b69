"""Renew the leases of the runs that this worker is executing, and say that it is alive.

A thread of the main process, because the main loop stands still while it reconnects to a
broker, and the pool processes are busy with the tasks themselves.
"""

import logging
import threading
from typing import Any

from celery.worker import state
from django.db import connection

from config.env import env
from ledger import health, lease, workers

log = logging.getLogger(__name__)


def start(stop: threading.Event, consumer: Any) -> threading.Thread:
    """Start the thread; it ends when `stop` is set.

    Args:
        stop: set when the worker ends.
        consumer: of the worker.
    """
    thread = threading.Thread(
        target=_run, args=[stop, consumer], name="ledger-heartbeat", daemon=True
    )
    thread.start()
    return thread


def beat() -> int:
    """Renew the leases once; return how many.

    Only those of runs that the pool really holds: a run whose process gave up must lapse,
    even though its worker is alive.
    """
    held = [request.id for request in tuple(state.active_requests)]
    return lease.renew(held) if held else 0


def _run(stop: threading.Event, consumer: Any) -> None:
    pause = 0.0  # a new worker shows itself at once
    while not stop.wait(pause):
        pause = env.LEDGER_HEARTBEAT_SECONDS
        try:
            beat()
            health.leases_renewed()
            workers.report(consumer)
        except Exception:
            # The database is away. The lease is several beats long; the next one may do.
            log.warning("leases not renewed", exc_info=True)
            connection.close()
    connection.close()
