"""The worker's consumer: what it cannot execute goes into the ledger, not to the log alone.

Celery discards messages that it cannot read, and fails tasks that it does not know; some
malformed messages even end the worker. https://docs.celeryq.dev/en/stable/userguide/extending.html#consumer
"""

import logging
from collections.abc import Callable
from typing import Any

from celery import signals
from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer
from django.db import close_old_connections

from ledger import health, refused
from ledger.claim import UNREACHABLE
from ledger.deliveries import LOOK_SECONDS, Deliveries

log = logging.getLogger(__name__)

# Seconds after which a message is taken again that the database could not keep.
DATABASE_AWAY_SECONDS = 2.0

# Seconds from one sign of life of the main loop to the next.
TURN_SECONDS = 1.0


class LedgerConsumer(Consumer):
    """Celery's consumer, for the setting `worker_consumer`.

    A message is acknowledged only once the ledger has it.
    """

    connection_errors: tuple[type[Exception], ...]  # the types of Celery leave it out

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._deliveries = Deliveries(self)
        super().__init__(*args, **kwargs)

    def start(self) -> None:
        """Consume until the worker ends; the pool's processes have been forked by now."""
        health.start(self.hostname)
        super().start()

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes; kombu calls back every second meanwhile."""
        health.turned("not connected to the broker")
        ensure = conn.ensure_connection

        def turning(*args: Any, callback: Any = None, **kwargs: Any) -> Any:
            def wait() -> None:
                health.turned("the broker does not answer")
                if callback is not None:
                    callback()

            return ensure(*args, callback=wait, **kwargs)

        conn.ensure_connection = turning
        return super().ensure_connected(conn)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of a broken connection, so that what it still holds can be closed.

        Celery lets kombu `collect()` it, which stops at the first channel of Redis that does
        not answer, but takes the address away from all; then closing the others, and
        acknowledging their messages, is an AttributeError, and the end of the worker.
        """
        connection: Any = self.connection
        transport, close = connection.transport, connection.close

        def close_with_address() -> None:
            transport.client = connection
            close()

        connection.close = close_with_address
        super().on_connection_error_after_connected(exc)

    def register_with_event_loop(self, hub: Any) -> None:
        """Say, as long as the loop goes round, that it consumes; look whether it does."""
        super().register_with_event_loop(hub)
        hub.call_repeatedly(
            TURN_SECONDS, lambda: health.turned(self._deliveries.problem)
        )
        # From Redis, it takes messages by itself.
        if self.connection and self.connection.supports_heartbeats:
            hub.call_repeatedly(LOOK_SECONDS, self._deliveries.look)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Return what takes a message, with a check before it.

        Celery takes well-formed messages for granted: one without an id would end the
        worker, and every worker after it.
        """
        handle = super().create_task_handler(*args, **kwargs)

        def take(message: Any) -> None:
            self._deliveries.arrived(message)
            try:
                check(message)
            except Exception as error:
                self.on_decode_error(message, error)
            else:
                handle(message)

        return take

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Let the run wait for a worker that knows the task."""
        if self._kept(message, refused.put_back, message):
            message.ack_log_error(log, self.connection_errors)
            name = (message.headers or {}).get("task") or message.payload["task"]
            signals.task_unknown.send(
                sender=self, message=message, exc=exc, name=name, id=_id(message)
            )

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Keep a message that names no task."""
        if self._kept(message, refused.bury, message, InvalidTaskError("no task")):
            super().on_unknown_message(body, message)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Keep a message with impossible values, such as an eta that is no time."""
        if self._kept(message, refused.bury, message, exc):
            super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Keep a message that cannot be read."""
        if self._kept(message, refused.bury, message, exc):
            super().on_decode_error(message, exc)

    def _kept(self, message: Any, keep: Callable[..., None], *arguments: Any) -> bool:
        """Store, and return whether the message has been dealt with.

        Nothing here may raise: an exception in the main process ends the worker.
        """
        try:
            keep(*arguments)
        except UNREACHABLE:
            log.warning("message not kept, it is taken again", exc_info=True)
            close_old_connections()
            self.timer.call_after(
                DATABASE_AWAY_SECONDS,
                message.reject_log_error,
                (log, self.connection_errors, True),
            )
            return False
        except Exception:
            log.exception("message not kept: %r", message)
        return True


def check(message: Any) -> None:
    """Check that a message has the shape that Celery will take it apart by.

    https://docs.celeryq.dev/en/stable/internals/protocol.html

    Raises:
        InvalidTaskError: if it has not.
        Exception: what its decoder raises, if its body cannot be decoded.
    """
    headers, payload = message.headers or {}, message.payload
    if isinstance(payload, dict):
        if not (headers.get("id") or payload.get("id")):
            raise InvalidTaskError("neither its headers nor its body have an id")
        if "task" not in headers:
            return  # the old protocol, which Celery checks itself
        payload = (payload.get("args"), payload.get("kwargs"), {})
    elif not headers.get("id"):
        raise InvalidTaskError("its headers have no id")
    types = (
        [type(part) for part in payload] if isinstance(payload, list | tuple) else []
    )
    if types not in ([list, dict, dict], [tuple, dict, dict]):
        raise InvalidTaskError("its body is not [args, kwargs, options]")


def _id(message: Any) -> str:
    return str((message.headers or {}).get("id") or message.payload["id"])
