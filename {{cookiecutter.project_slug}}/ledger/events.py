"""The events that a worker sends to monitors such as Flower.

Celery tries again for ever to send its heartbeat (https://github.com/celery/celery/pull/4804),
in the worker's main loop: that stands still then for as long as the broker is away, and does
not see that its own connection has ended.
"""

from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher


class LedgerDispatcher(EventDispatcher):
    """Sends events, or keeps them until the worker has connected again."""

    def send(self, type: str, *args: Any, **kwargs: Any) -> Any:
        """Send an event, once; the arguments are Celery's.

        Raises:
            Exception: one of the transport's connection errors, if it is a heartbeat: these
                tell the main loop, every two seconds, whether the broker is there.
        """
        self.buffer_while_offline = type != "worker-heartbeat"
        return super().send(type, *args, **kwargs | {"retry": False})


class LedgerEvents(Events):
    """Celery's events, by way of our dispatcher."""

    dispatcher_cls = "ledger.events:LedgerDispatcher"
