"""One request id, from whoever causes work through all that follows from it."""

import structlog
from celery import chain, chord, group
from kombu.utils.json import loads

from config.logs import REQUEST_ID
from ledger.models import TaskRun
from tests.harness.effects.tasks import add, echo, total
from tests.harness.inline import InlineWorker

REQUEST = "from-the-web"


def request_ids() -> list[str | None]:
    """Return the request id of every run."""
    stored = TaskRun.objects.values_list("options", flat=True)
    headers = [loads(options).get("headers") or {} for options in stored]
    return [found.get(REQUEST_ID) for found in headers]


def test_whole_workflow_has_the_id_of_the_request_that_started_it(
    worker: InlineWorker,
) -> None:
    with structlog.contextvars.bound_contextvars(request_id=REQUEST):
        chain(add.s(1, 2), add.s(3), echo.s()).delay()
        chord(group(add.s(1, 1), add.s(2, 2)), total.s()).delay()

    worker.drain()

    assert request_ids() == [REQUEST] * 6
