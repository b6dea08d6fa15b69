"""What must not be read in a log: credentials, and the arguments of tasks.

Three nets, because none holds everything: the names of fields, the values of the service's
own secrets and the passwords of addresses, and the texts that the running task was given.
"""

import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from structlog.typing import EventDict, WrappedLogger

REDACTED = "[redacted]"
ARGUMENT = "[argument]"

# Matched against the keys of a log entry, however deep.
_SECRET_KEY = re.compile(r"password|secret|token|authorization|cookie|api_?key", re.I)

# The password of an address, such as redis://:password@host; libraries put them into errors.
_URL_PASSWORD = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@")

# Shorter texts are words of the log itself, such as `csv`, more often than personal data.
SHORTEST_ARGUMENT = 5

# Where an argument can turn up: what people wrote, and what exceptions say.
_FREE_TEXT = frozenset("""
    event exception message error reason stack breadcrumbs logentry
    """.split())

_arguments: ContextVar[tuple[str, ...]] = ContextVar("task_arguments", default=())


def hide_arguments(*arguments: object) -> None:
    """Keep these texts out of whatever is logged from here on; without any, forget them."""
    found = {text for text in _texts(arguments) if len(text) >= SHORTEST_ARGUMENT}
    # The longest first, because a shorter one may be part of it.
    _arguments.set(tuple(sorted(found, key=len, reverse=True)))


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace the value of every key that names a credential (a structlog processor)."""
    return {key: _redacted(key, value) for key, value in event.items()}


class Scrubber:
    """A structlog processor that removes secrets and arguments from the texts of an entry.

    It comes after the exception has become text.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        """Take the values that no log may show."""
        self._secrets = tuple(sorted(secrets, key=len, reverse=True))

    def __call__(
        self, logger: WrappedLogger, method: str, event: EventDict
    ) -> EventDict:
        arguments = _arguments.get()
        return {
            key: self._scrub(value, arguments if key in _FREE_TEXT else ())
            for key, value in event.items()
        }

    def _scrub(self, value: Any, arguments: tuple[str, ...]) -> Any:
        if isinstance(value, str):
            return self._clean(value, arguments)
        if isinstance(value, dict):
            return {key: self._scrub(item, arguments) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._scrub(item, arguments) for item in value]
        return value

    def _clean(self, text: str, arguments: tuple[str, ...]) -> str:
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        for argument in arguments:
            text = text.replace(argument, ARGUMENT)
        return _URL_PASSWORD.sub(rf"\1:{REDACTED}@", text)


def _redacted(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key):
        return REDACTED
    if isinstance(value, dict):
        return {name: _redacted(str(name), item) for name, item in value.items()}
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
