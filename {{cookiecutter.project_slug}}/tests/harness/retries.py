"""Services that cannot reach their database, for tests of retries."""

from collections.abc import Callable
from typing import Any

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
