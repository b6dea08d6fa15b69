"""How the web side starts tasks."""

from functools import partial
from typing import Any

from celery import Task
from django.db import transaction


def enqueue_after_commit(task: Task[Any, Any], *arguments: int) -> None:
    """Enqueue a task once the current transaction is committed.

    After the commit, because the worker may otherwise look for a row that is not there yet.
    The result is ignored, because nobody waits for it, and because Celery would subscribe
    to it first: with Redis down that blocks the request for 20 s instead of one.
    https://docs.celeryq.dev/en/stable/userguide/tasks.html#Task.ignore_result

    Args:
        task: to enqueue.
        arguments: its positional arguments; primary keys.

    Raises:
        kombu.exceptions.OperationalError: at the commit, if the broker is down;
            `app/api/errors.py` answers it.
    """
    transaction.on_commit(partial(task.apply_async, arguments, ignore_result=True))
