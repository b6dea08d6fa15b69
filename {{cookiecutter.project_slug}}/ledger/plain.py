"""Plain tasks in the schedule: a durable run sends them, so that their ticks are rows too.

It ends when the broker has taken the message. What becomes of the message after that is as
with any other plain task.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="ledger.plain.send",
    queue="fast",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=(OperationalError, OSError),
    max_retries=10,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=25,
    time_limit=30,
    ignore_result=True,
)
def send(
    self: DurableTask[..., None],
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: dict[str, Any],
) -> None:
    """Send a message; its id is the same on every attempt.

    Args:
        name: of the task.
        args: positional arguments.
        kwargs: keyword arguments.
        options: of `apply_async`.
    """
    app: Any = self.app
    task = app.tasks.get(name)
    publish = task.apply_async if task else partial(app.send_task, name)
    publish(args, kwargs, task_id=self.idempotency_key, **options)


def send_later(
    name: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
    run_id: str,
) -> None:
    """Enqueue a run that sends a plain task, to the queue in which the task itself belongs.

    Args:
        name: of the task; this process need not know it.
        args: positional arguments.
        kwargs: keyword arguments.
        options: of `apply_async`; `expires` in seconds.
        run_id: of the run.
    """
    app: Any = current_app
    options = dict(options)
    expires = options.get("expires")
    if isinstance(expires, int | float):
        moment = datetime.now(UTC) + timedelta(seconds=expires)
        options["expires"] = moment.isoformat()
    queue = options.get("queue") or getattr(app.tasks.get(name), "queue", None)
    send.apply_async(
        (name, args, kwargs, options), task_id=run_id, queue=queue, expires=expires
    )
