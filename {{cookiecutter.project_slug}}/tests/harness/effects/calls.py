"""Tasks that tell what they were told about their call, and that ask for other calls."""

from typing import Any

from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(bind=True)
def told(self: DurableTask[..., dict[str, Any]]) -> dict[str, Any]:
    """Return what the body is told about its call."""
    request: Any = self.request
    return {
        "id": request.id,
        "shadow": request.shadow,
        "tenant": (request.headers or {}).get("tenant"),
        "limits": [request.time_limit, request.soft_time_limit],
        "priority": request.delivery_info["priority"],
        "queue": request.delivery_info["routing_key"],
        "expires": bool(request.expires),
        "ignore_result": request.ignore_result,
    }


@shared_task(bind=True, max_retries=1)
def retried_with(
    self: DurableTask[..., list[Any]], value: int = 0, how: Any = None
) -> list[Any]:
    """Ask for one retry with other arguments and options; return what came of it."""
    if self.request.retries == 0:
        raise self.retry(**how)
    request: Any = self.request  # the types of Celery leave some of it out
    return [value, request.delivery_info["routing_key"], request.time_limit]


@shared_task(bind=True)
def retried_for(self: DurableTask[..., int], message: str) -> int:
    """Ask for a retry because of an error with this message."""
    try:
        if self.request.retries == 0:
            raise ValueError(message)
    except ValueError as error:
        raise self.retry(exc=error, countdown=60)
    return self.request.retries


@shared_task(bind=True, max_retries=0)
def retried_in_vain(self: DurableTask[..., None], message: str = "") -> None:
    """Ask for a retry more often than allowed."""
    raise self.retry(exc=ValueError(message) if message else None)


@shared_task(bind=True)
def request_eta(self: DurableTask[..., Any]) -> Any:
    """Return the time that the caller asked for."""
    return self.request.eta


@shared_task()
def errback_without_arguments() -> None:
    """Take nothing, so that it can be no errback."""


@shared_task(unique_key="errback {failed_id}")
def unique_errback(failed_id: str) -> None:
    """Have a unique key, which members of a canvas cannot have."""
