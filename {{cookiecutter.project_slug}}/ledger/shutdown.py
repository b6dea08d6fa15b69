"""A worker that is told to stop ends within its grace, and what it leaves goes on elsewhere.

On SIGTERM, Celery takes no new messages and waits for its tasks, however long they need.
Sooner or later somebody kills it, and its runs then wait until their leases run out. So
shortly before that, what still runs is ended here: processes killed, leases released. No
run is to blame for it, and none becomes dead by any number of deploys.

A thread, because the main loop may stand still at that moment. Celery's own soft shutdown
sleeps its full length in a signal handler, in which no result is stored:
https://docs.celeryq.dev/en/stable/userguide/workers.html#soft-shutdown
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from signal import SIGKILL
from typing import Any

from celery import current_app
from celery.worker import state

from config import queues
from config.env import env

log = logging.getLogger(__name__)

# Of the grace, for ending what is left: a lost process is noticed, plain messages go back.
# Of a short grace, no more than half.
END_SECONDS = 5.0

# For a main process that does not come to an end by itself.
LAST_SECONDS = 0.5

_asked = threading.Event()


def ask() -> None:
    """Let the grace begin; called inside a signal handler."""
    _asked.set()


def start(release: Callable[[], None]) -> None:
    """Start the thread that waits for `ask`.

    Args:
        release: stops renewing the leases of this worker, and releases them.
    """
    _asked.clear()
    threading.Thread(
        target=_run, args=[release], name="ledger-shutdown", daemon=True
    ).start()


def grace_seconds() -> float:
    """Return the longest grace among the queues that this worker serves."""
    served = current_app.amqp.queues.consume_from
    return max(
        env.WORKER_SHUTDOWN_GRACE.get(name, queues.by_name(name).shutdown_grace)
        for name in served
    )


def _run(release: Callable[[], None]) -> None:
    _asked.wait()
    grace = grace_seconds()
    ending = min(END_SECONDS, grace / 2)
    deadline = time.monotonic() + grace - LAST_SECONDS
    time.sleep(grace - ending)
    if state.active_requests:
        log.warning("grace is over: %d tasks ended", len(state.active_requests))
    try:
        _kill_busy_processes()  # first, so that no run executes twice at a time
        release()
    except Exception:
        log.exception("leases not released; they run out by themselves")
    time.sleep(max(0.0, deadline - time.monotonic()))
    log.error("main process did not come to an end in its grace")
    os._exit(1)


def _kill_busy_processes() -> None:
    for request in tuple(state.active_requests):
        with suppress(ProcessLookupError):  # has just ended
            os.kill(request.worker_pid, SIGKILL)
