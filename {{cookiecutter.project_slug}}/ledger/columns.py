"""What a request says of its run, in the form that the columns of the row have."""

from typing import Any

from kombu.utils.json import dumps

from ledger import doorbell


def token(request: Any) -> str | None:
    """Return the token of the message that a request came with."""
    token: str | None = (getattr(request, "headers", None) or {}).get(doorbell.TOKEN)
    return token


def children(request: Any) -> str | None:
    """Return what the task has enqueued, as JSON; None if it was nothing."""
    enqueued = [child.as_tuple() for child in getattr(request, "children", None) or ()]
    return dumps(enqueued) if enqueued else None


def reason(result: Any) -> str:
    """Return what a person reads of a stored exception."""
    if not isinstance(result, dict) or "exc_type" not in result:
        return str(result)
    message = result.get("exc_message")
    if isinstance(message, list | tuple):
        message = ", ".join(str(part) for part in message)
    return f"{result['exc_type']}: {message}" if message else str(result["exc_type"])
