"""What a log line says of the run that it is about, so that it is found with all the others.

The main process of a worker knows a run by its message, the relay by its row; neither
executes it, so that nothing of it is bound to their log lines.
"""

from collections.abc import Mapping
from typing import Any

from kombu.utils.json import loads

from config.logs import REQUEST_ID
from ledger.call import queue_of
from ledger.models import TaskRun


def message(request: Any) -> dict[str, Any]:
    """Return the fields for a request of Celery's worker; no server is asked."""
    headers: dict[str, Any] = request.request_dict
    queue = queue_of((request.delivery_info or {}).get("routing_key") or "")
    return _fields(request.id, request.name, queue, headers, headers.get("root_id"))


def row(id: str) -> dict[str, Any]:
    """Return the fields for a run that has a row."""
    run = TaskRun.objects.only("name", "queue", "options").get(pk=id)
    options: dict[str, Any] = loads(run.options)
    headers = options.get("headers") or {}
    return _fields(id, run.name, run.queue, headers, options.get("root_id"))


def _fields(
    id: str, task: str, queue: str, headers: Mapping[str, Any], root_id: str | None
) -> dict[str, Any]:
    return {
        "request_id": headers.get(REQUEST_ID) or root_id or id,
        "task": task,
        "task_id": id,
        "queue": queue,
    }
