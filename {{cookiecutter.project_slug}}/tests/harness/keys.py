"""Services whose idempotency keys a test wants to see."""

from collections.abc import Callable
from typing import Any


class KeyRecorder:
    """Does what a service does, and notes the idempotency keys that it is given.

    Attributes:
        keys: all that it was given.
    """

    def __init__(self, service: Callable[..., Any]) -> None:
        self.keys: set[str] = set()
        self._service = service

    def __call__(self, *args: Any, idempotency_key: str, **kwargs: Any) -> Any:
        self.keys.add(idempotency_key)
        return self._service(*args, idempotency_key=idempotency_key, **kwargs)
