"""Errors go to Sentry; imported only when `SENTRY_DSN` is set.

What is sent has neither personal data nor secrets: no local variables, no bodies of requests,
no arguments of tasks, and texts are scrubbed as those of logs are.
"""

from typing import TYPE_CHECKING, Any

import sentry_sdk
from celery import Task
from celery.signals import task_prerun
from sentry_sdk.integrations.logging import ignore_logger

from config.redaction import Scrubber
from ledger.call import queue_of

if TYPE_CHECKING:
    from sentry_sdk.types import Event


def start(*, dsn: str, service: str, secrets: list[str]) -> None:
    """Send errors from now on.

    Args:
        dsn: where to.
        service: the name of this one.
        secrets: values that nothing sent may show.
    """
    scrub = Scrubber(secrets)

    def before_send(event: "Event", hint: dict[str, Any]) -> "Event":
        return scrub(None, "", event)  # type: ignore[return-value,arg-type]  # a dict

    sentry_sdk.init(
        dsn=dsn,
        server_name=service,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=before_send,
    )
    # Its line per failed task; the error itself is sent with its traceback.
    ignore_logger("app.tasks")
    task_prerun.connect(_tag, dispatch_uid="sentry")


def _tag(task: Task[Any, Any], **kwargs: Any) -> None:
    """Say of all that the task will report which attempt of what it was."""
    request = task.request
    routing_key = (request.delivery_info or {}).get("routing_key") or ""
    sentry_sdk.get_isolation_scope().set_tags(
        {
            "task": task.name,
            "task_id": request.id,
            "queue": queue_of(routing_key),
            "attempt": str((request.retries or 0) + 1),
        }
    )
