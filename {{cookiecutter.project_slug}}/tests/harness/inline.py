"""A worker without processes: it executes messages as Celery's own worker does.

Messages come from kombu's in-memory broker, run through Celery's tracer, and end in the
same `Request` that a pool would call. What it leaves out is what processes do: dying,
stopping, and time limits. Those are in `tests/chaos`.
"""

from typing import Any

from celery.app.trace import trace_task
from celery.utils.imports import symbol_by_name
from kombu import Connection

from config.celery import app
from config.queues import QUEUES
from ledger import relay, sql
from ledger.models import TaskRun
from tests.harness.effects.models import Effect


class WorkerDied(BaseException):
    """Stands for a SIGKILL: whoever executes stores nothing more, and acknowledges nothing."""


class InlineWorker:
    """Executes everything that is waiting."""

    def __init__(self) -> None:
        self.executed: list[str] = []
        self._last_message: dict[str, Any] = {}

    def drain(self, *, now: bool = True) -> None:
        """Execute until nothing waits any more.

        Args:
            now: pretend that all countdowns are over.
        """
        while True:
            with app.connection_for_write() as connection:
                messages = self.messages(connection)
                for message in messages:
                    self.execute(message)
            if now:
                sql.execute(
                    f"UPDATE ledger_taskrun SET run_at = {sql.now()}"
                    " WHERE state = 'pending'"
                )
            relay.ring_due()
            relay.ring_next()
            if not messages and not waiting():
                return

    def messages(self, connection: Connection) -> list[Any]:
        """Take all messages that wait, of all queues."""
        channel = connection.default_channel
        found = []
        for queue in QUEUES:
            while message := self._get(channel, queue.name):
                found.append(message)
        return found

    def _get(self, channel: Any, queue: str) -> Any:
        if queue not in channel.queues:
            return None
        return channel.basic_get(queue)

    def execute(self, message: Any) -> None:
        """Execute one message, as often as a test likes."""
        task = app.tasks[message.headers["task"]]
        request_class = symbol_by_name(task.Request)
        request = request_class(
            message,
            app=app,
            task=task,
            on_ack=lambda *args: None,
            on_reject=lambda logger, errors, requeue: self._reject(message, requeue),
        )
        if request.revoked():
            return
        self.executed.append(request.id)
        self._last_message[request.id] = message
        args, kwargs, embed = message.decode()
        context = {
            **request.request_dict,
            **embed,
            "args": args,
            "kwargs": kwargs,
            "is_eager": False,
        }
        try:
            result = trace_task(task, request.id, args, kwargs, context, app=app)
        except WorkerDied:
            return
        if result.info:
            request.on_failure(result.retval, return_ok=True)

    def execute_again(self, id: str) -> None:
        """Execute the last message of a run once more, as if the broker had two of it."""
        self.execute(self._last_message[id])

    def _reject(self, message: Any, requeue: bool) -> None:
        if requeue:
            message.delivery_info["redelivered"] = True
            self.execute(message)


def waiting() -> bool:
    """Return whether the broker has any message."""
    with app.connection_for_write() as connection:
        channel: Any = connection.default_channel
        queues = channel.queues
        return any(queue.qsize() for queue in queues.values())


def run_of(result: Any) -> TaskRun:
    """Return the row of a result, as it is now."""
    return TaskRun.objects.get(pk=result.id)


def effects(start: str = "") -> list[str]:
    """Return the keys of all effects that begin so, sorted."""
    found = Effect.objects.filter(key__startswith=start)
    return sorted(found.values_list("key", flat=True))
