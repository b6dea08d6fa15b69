"""Notice that the broker has stopped to give this worker messages, and consume anew.

RabbitMQ says so when it ends a consumer, and Celery then connects again. But before 4.0 it
goes on by itself if the queue was deleted and is there again at once, and takes the first
messages of the new queue for old ones: they are never delivered
(https://github.com/rabbitmq/rabbitmq-server/pull/11583). And what a worker is told right
after it has connected, Celery ignores
(https://github.com/celery/celery/blob/v5.6.0/celery/worker/loops.py, `_quick_drain`).

The process would be alive and its runs would wait until somebody restarts it. So a worker
that has nothing to do asks whether it should have.
"""

from typing import Any
from weakref import WeakSet

from amqp.exceptions import ConsumerCancelled

# Seconds between two looks. Two in a row must find the same: a message may be under way.
LOOK_SECONDS = 2.0


class Deliveries:
    """What the broker gives one worker, as seen from its main loop.

    Attributes:
        problem: what waits in vain, for people; blank if nothing does.
    """

    def __init__(self, consumer: Any) -> None:
        """Prepare.

        Args:
            consumer: of the worker.
        """
        self.problem = ""
        self._consumer = consumer
        self._any_arrived = False
        self._held: WeakSet[Any] = WeakSet()

    def arrived(self, message: Any) -> None:
        """Say that the broker has delivered a message."""
        self.problem = ""
        self._any_arrived = True
        self._held.add(message)

    def look(self) -> None:
        """Look whether messages wait that this worker, which has nothing to do, is not given.

        Raises:
            ConsumerCancelled: if they did so at the last look, too, or if a queue is gone.
                The main loop then connects again.
        """
        busy = any(not message.acknowledged for message in self._held)
        waiting = "" if busy or self._any_arrived else self._queue_that_waits()
        self._any_arrived = False
        if waiting and self.problem:
            raise ConsumerCancelled(self.problem)
        self.problem = (
            f"messages wait in {waiting}, and none arrives" if waiting else ""
        )

    def _queue_that_waits(self) -> str:
        consumer = self._consumer.task_consumer
        for queue in consumer.queues:
            if consumer.consuming_from(queue.name) and self._messages_in(queue.name):
                return str(queue.name)
        return ""

    def _messages_in(self, queue: str) -> int:
        channel = self._consumer.task_consumer.channel
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except self._consumer.channel_errors as error:
            raise ConsumerCancelled(f"queue {queue} is gone") from error
