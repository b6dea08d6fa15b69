"""What a request says of its run, in the form that the columns of the row have."""

from collections.abc import Mapping, Sequence
from typing import Any

from celery.app.task import Context
from kombu.utils.json import dumps

from ledger import doorbell
from ledger.call import COLUMNS, Call, queue_of

# What a row is told that stands for a task without one.
OWN_COLUMNS = ("id", "group_id", "group_index", "attempts", *COLUMNS)


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


def received(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], request: Context
) -> Call:
    """Return the call that a message has made, whoever sent it; arguments as above."""
    options = request.as_execution_options()
    options["ignore_result"] = request.ignore_result
    return Call(
        id=options.pop("task_id"),
        name=name,
        queue=queue_of((request.delivery_info or {}).get("routing_key") or ""),
        args=args,
        kwargs=kwargs,
        options={key: value for key, value in options.items() if value},
    )


def own(request: Any) -> list[Any]:
    """Return what `OWN_COLUMNS` has after the id, for a task that has no row of its own.

    A task that was not started, because one before it failed, has no queue.
    """
    name = getattr(request, "task", None) or getattr(request, "name", None) or ""
    args, kwargs = getattr(request, "args", None), getattr(request, "kwargs", None)
    group = [getattr(request, "group", None), getattr(request, "group_index", None)]
    delivery: Mapping[str, Any] = getattr(request, "delivery_info", None) or {}
    if not delivery or delivery.get("is_eager"):
        unknown = [name, "", 0, "", _json(args or []), _json(kwargs or {}), "{}"]
        return [*group, 0, *unknown]
    call = received(name, args or (), kwargs or {}, request)
    return [*group, (request.retries or 0) + 1, *call.columns()]


def _json(value: Any) -> str:
    try:
        return str(dumps(value))
    except (TypeError, ValueError):
        return str(dumps(repr(value)))  # run eagerly, with arguments of any kind
