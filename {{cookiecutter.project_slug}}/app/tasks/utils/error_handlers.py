"""What tasks share when they fail."""

from typing import Any

from celery import Task


def is_last_attempt(task: Task[Any, Any]) -> bool:
    """Return whether a failure of this attempt is final, because no retry is left."""
    retries = task.request.retries or 0
    return task.max_retries is not None and retries >= task.max_retries
