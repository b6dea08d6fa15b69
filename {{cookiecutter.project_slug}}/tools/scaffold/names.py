"""What a person may call things: checked before anything is written."""

import builtins
import keyword
import re
from collections.abc import Iterable

from django.core.management.base import CommandError

MAX_CHARACTERS = 50

# Modules of app/services that are none.
NO_DOMAINS = ("errors",)

# What the generated code calls its own things.
TAKEN = ("last", "monkeypatch", "recorder", "run", "self", "started", "tasks")

_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_CAMEL = re.compile(r"([A-Z][a-z0-9]*)+")


def function(field: str, value: str) -> str:
    """Return the name of a function or module.

    Valid: `charge_invoice`, `close_day`. Invalid: `Charge`, `charge-invoice`, `class`,
    `print`, `test_charge`.

    Raises:
        CommandError: naming the field, the value and what is accepted.
    """
    if not _SNAKE.fullmatch(value) or len(value) > MAX_CHARACTERS:
        expected = f"words in lower case joined by _, up to {MAX_CHARACTERS} characters"
        raise _refused(field, value, f"{expected}, such as charge_invoice")
    if keyword.iskeyword(value) or keyword.issoftkeyword(value):
        raise _refused(field, value, "a name that is no keyword of Python")
    if hasattr(builtins, value):
        raise _refused(field, value, "a name that is no built-in of Python")
    if value in TAKEN:
        reserved = f"reserved by the generated tests: {', '.join(TAKEN)}"
        raise _refused(field, value, f"a name that is not {reserved}")
    if value.startswith("test_"):
        raise _refused(field, value, "a name that pytest does not take for a test")
    return value


def domain(field: str, value: str) -> str:
    """Return the name of a domain: a module of `app/services`.

    Raises:
        CommandError: as `function` does, and for `errors`, which is no domain.
    """
    if value in NO_DOMAINS:
        raise _refused(field, value, f"a domain; app/services/{value}.py is none")
    return function(field, value)


def model(field: str, value: str) -> str:
    """Return the name of a model.

    Valid: `Invoice`, `LineItem`. Invalid: `invoice`, `Line_Item`, `None`.

    Raises:
        CommandError: naming the field, the value and what is accepted.
    """
    if not _CAMEL.fullmatch(value) or len(value) > MAX_CHARACTERS:
        raise _refused(field, value, "words with capitals, such as LineItem")
    if keyword.iskeyword(value) or hasattr(builtins, value):
        raise _refused(field, value, "a name that Python does not use itself")
    return value


def argument(field: str, value: str) -> str:
    """Return the name of the one argument of a task.

    Valid: `invoice_id`. Invalid: `invoice`, `Invoice_id`.

    Raises:
        CommandError: naming the field, the value and what is accepted.
    """
    if not value.endswith("_id"):
        raise _refused(field, value, "the name of a primary key, such as invoice_id")
    return function(field, value)


def one_of(field: str, value: str, accepted: Iterable[str]) -> str:
    """Return a value that must be one of several.

    Raises:
        CommandError: listing what is accepted.
    """
    known = list(accepted)
    if value not in known:
        raise _refused(field, value, f"one of {', '.join(known)}")
    return value


def distinct(**values: str) -> None:
    """See that names which end up in one module differ.

    Raises:
        CommandError: naming both fields.
    """
    fields: dict[str, str] = {}
    for field, value in values.items():
        if value in fields:
            raise _refused(field, value, f"another name than {fields[value]} has")
        fields[value] = field


def words(name: str) -> str:
    """Return `LineItem` or `line_item` as `line item`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return spaced.replace("_", " ").lower()


def _refused(field: str, value: str, expected: str) -> CommandError:
    return CommandError(f"{field} {value!r}: expected {expected}")
