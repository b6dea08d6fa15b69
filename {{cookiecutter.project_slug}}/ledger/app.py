"""`LedgerCelery`: a Celery app whose tasks are durable unless they say otherwise.

It must be importable before Django is set up, so its parts are named, not imported.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import django
from celery import Celery
from celery.app.control import Control
from celery.result import AsyncResult
from celery.utils import uuid
from django.apps import apps
from kombu.utils.objects import cached_property


class LedgerCelery(Celery[Any]):
    """Celery with the ledger's task class, control, events, and groups stored at once."""

    task_cls = "ledger.task:DurableTask"
    control_cls = "ledger.control:LedgerControl"
    events_cls = "ledger.events:LedgerEvents"

    @cached_property
    def control(self) -> Control:
        """Celery's remote control, for `celery inspect` before Django is set up, too."""
        if not apps.ready:
            django.setup()
        return super().control

    @contextmanager
    def producer_or_acquire(  # type: ignore[override]  # also a context manager
        self, producer: Any = None
    ) -> Iterator[Any]:
        """Lend a producer to a block that publishes.

        Celery holds one while it sends the members of a group. What is enqueued meanwhile
        becomes one INSERT, all or nothing.
        """
        from ledger import enqueue

        with super().producer_or_acquire(producer) as acquired, enqueue.batch():
            yield acquired

    def send_task(self, name: str, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Send a message; what depends on rows of the ledger, after these are committed.

        A plain task in a chain, link or chord after a durable one must not start before
        its predecessor has ended, and a plain member of a chord must not end before there
        is the row that counts it.
        """
        from ledger import doorbell, enqueue
        from ledger.task import claim_of

        if doorbell.TOKEN in (kwargs.get("headers") or ()):
            return super().send_task(name, *args, **kwargs)
        parent = self.current_worker_task
        held = claim_of(parent.request) if parent else None
        follows = held is not None and held.transaction is not None and held.ended
        if not follows and kwargs.get("chord") is None:
            return super().send_task(name, *args, **kwargs)
        kwargs.pop("producer", None)  # belongs to a block that has ended by then
        kwargs["task_id"] = kwargs.get("task_id") or uuid()
        enqueue.after_commit(partial(super().send_task, name, *args, **kwargs))
        return self.AsyncResult(kwargs["task_id"])
