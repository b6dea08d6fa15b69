"""What a task does about an error that is worth another attempt."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import Task
from celery.exceptions import Retry
from django.db import OperationalError


def locked(*args: object, **kwargs: object) -> Any:
    """Stand in for a service while the database is away."""
    raise OperationalError("database is locked")


def locked_once(service: Callable[..., Any]) -> Callable[..., Any]:
    """Return a service whose first call finds the database away."""
    failures = [OperationalError("database is locked")]

    def call(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return service(*args, **kwargs)

    return call


def delays(
    task: Task[Any, Any], *arguments: object, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """Return the longest seconds that a failing task waits after its first attempts."""
    monkeypatch.setattr("random.randrange", lambda limit: limit - 1)  # jitter's longest
    seconds: list[float] = []

    def record(**options: float) -> Retry:
        seconds.append(options["countdown"])
        return Retry()

    monkeypatch.setattr(task, "retry", record)
    for attempt in range(4):
        task.apply(args=arguments, retries=attempt)
    return seconds
