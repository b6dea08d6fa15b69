"""The message that says "look at row X": published on commit, and allowed to get lost.

Publishing never disturbs the caller. A broker that is down costs one attempt; after that
the circuit breaker keeps everyone from trying for a while, runs are parked as pending, and
the relay rings for them when the broker is back.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from amqp.exceptions import MessageNacked, PreconditionFailed
from celery import current_app
from celery.exceptions import SoftTimeLimitExceeded
from celery.utils import uuid
from django.db import transaction
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.pools import producers

from ledger import sql

if TYPE_CHECKING:
    from ledger.call import Call

log = logging.getLogger(__name__)

# Headers of a message: what tells it, and so the worker that it started, from every other
# message about the same run; the number of the call that it was published for; and the time
# that the caller asked for, in ISO format, if any. The message itself never has an ETA,
# which would make it wait in a worker's memory.
# Celery makes headers attributes of `task.request`: the prefix avoids a clash.
TOKEN = "ledger_token"
CALL_NUMBER = "ledger_call_number"
ETA = "ledger_eta"

# Seconds without another attempt after one that failed, and that many times as long as
# the failure itself took: a broker that refuses is asked every second, one that swallows
# packets costs its callers a tenth of their time at most.
BREAK_SECONDS = 1.0
BREAK_FACTOR = 10

# By the broker's address: when it may be tried again.
_down_until: dict[str, float] = {}


class BrokerDown(Exception):
    """The broker does not answer, or refuses whatever it is asked."""


def is_down() -> bool:
    """Return whether the breaker is open: the broker failed a moment ago."""
    return time.monotonic() < _down_until.get(_broker(), 0.0)


def without_ours(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return message headers without those of the ledger, which belong to one call."""
    ours = (TOKEN, CALL_NUMBER, ETA)
    return {name: value for name, value in headers.items() if name not in ours}


def ring_on_commit(calls: Sequence["Call"]) -> None:
    """Publish these calls once the current transaction has committed, at once if none."""
    if calls:
        transaction.on_commit(partial(_ring_undisturbed, calls))


def _ring_undisturbed(calls: Sequence["Call"]) -> None:
    try:
        ring_or_park(calls)
    except SoftTimeLimitExceeded:
        raise  # the caller's own
    except Exception:
        log.exception("messages not published, the relay will")


def ring_or_park(calls: Sequence["Call"]) -> bool:
    """Publish these calls; those that the broker did not take are left to the relay.

    Returns:
        Whether the broker took all of them.
    """
    taken = 0
    try:
        while taken < len(calls) and ring(calls[taken]):
            taken += 1
    finally:
        if taken < len(calls):
            park(calls[taken:])
    return taken == len(calls)


def ring(call: "Call", *, force: bool = False) -> bool:
    """Publish one message.

    A call that cannot be published, because its options or arguments are at fault, ends as
    failed: it must not hold up those behind it.

    Args:
        call: what to publish.
        force: try even though the breaker is open.

    Returns:
        False if the broker could not be reached.

    Raises:
        SoftTimeLimitExceeded: if the caller is a task that reaches its limit here.
    """
    if is_down() and not force:
        return False
    started = time.monotonic()
    try:
        with connected() as producer:
            _publish(_app(), call, producer)
    except BrokerDown as error:
        took = time.monotonic() - started
        pause = max(BREAK_SECONDS, BREAK_FACTOR * took)
        _down_until[_broker()] = time.monotonic() + pause
        log.warning("broker did not take the message: %s", error)
        return False
    except SoftTimeLimitExceeded:
        raise  # the caller's own: there is nothing wrong with the call
    except Exception as error:
        from ledger.unstarted import end

        log.exception("run cannot be published: %s[%s]", call.name, call.id)
        end(call.id, error)
        return True
    if _down_until.pop(_broker(), None) is not None:
        log.info("broker takes messages again")
    return True


def park(calls: Sequence["Call"]) -> None:
    """Leave calls to the relay: their rows no longer say that a message is under way."""
    ids = [call.id for call in calls]
    sql.execute(
        f"""
        UPDATE ledger_taskrun SET state = 'pending'
        WHERE state = 'queued' AND id IN ({sql.placeholders(ids)})
        """,
        ids,
    )


def messages_in(queue: str) -> int:
    """Return how many messages wait in a queue of the broker.

    One that the broker has lost is made again: a process that has declared a queue once
    goes on publishing to it, and RabbitMQ drops what it cannot route.
    """
    known = _app().amqp.queues
    if queue not in known:
        return 0  # it has left the topology, and publishing to it fails
    with connected() as producer:
        bound: Any = known[queue].bind(producer.channel)
        bound.declare()
        return int(bound.queue_declare().message_count)


@contextmanager
def connected() -> Iterator[Any]:
    """Lend a producer of this process: one attempt to connect, and no waiting.

    Raises:
        BrokerDown: whatever the transport raises for it.
    """
    connection = _connection(_app(), _broker(), os.getpid())
    try:
        with producers[connection].acquire(block=True) as producer:
            try:
                _reconnect_if_dead(producer)
                yield producer
            except Exception:
                # A late answer would be taken for that to the next question. And kombu closes
                # this connection: without a goodbye, that may find nobody who listens.
                producer.connection.collect()
                raise
    except Exception as error:
        if _is_about_the_broker(error, connection):
            raise BrokerDown(repr(error)) from error
        raise


def _reconnect_if_dead(producer: Any) -> None:
    """Notice a connection that ended while nobody used it, before it costs a message.

    RabbitMQ may have been restarted; or this process has forked, and the other one has shut
    the socket down for both (https://github.com/celery/py-amqp/blob/v5.3.1/amqp/transport.py).
    Clients of Redis look by themselves.
    """
    connection = producer.connection
    if not (connection.supports_heartbeats and connection.connected):
        return
    try:
        connection.drain_events(timeout=0)
    except TimeoutError:
        return  # nothing to hear, as it should be
    except (*connection.connection_errors, *connection.channel_errors):
        connection.collect()
        producer.revive(connection)


def _is_about_the_broker(error: Exception, connection: Connection) -> bool:
    """Return whether an error says nothing against the message itself."""
    if isinstance(error, PreconditionFailed) and error.method_name == "Basic.publish":
        return False  # RabbitMQ finds it too large, or its options wrong
    # QueueNotFound is one of them; kombu counts KeyError among the errors of Redis.
    if isinstance(error, LookupError):
        return False
    of_transport = (*connection.connection_errors, *connection.channel_errors)
    return isinstance(error, (OperationalError, OSError, MessageNacked, *of_transport))


def _app() -> Any:
    return current_app._get_current_object()  # type: ignore[attr-defined]  # a proxy


def _broker() -> str:
    return str(current_app.conf.broker_write_url)


def _publish(app: Any, call: "Call", producer: Any) -> None:
    options = dict(call.options)
    options["headers"] = {
        **(options.get("headers") or {}),
        TOKEN: uuid(),
        CALL_NUMBER: call.number,
    }
    app.send_task(
        call.name,
        args=call.args,
        kwargs=call.kwargs,
        task_id=call.id,
        queue=call.queue or None,
        producer=producer,
        retry=False,
        add_to_parent=False,
        **options,
    )


@cache
def _connection(app: Any, url: str, process: int) -> Connection:
    """Return this process's connection for doorbells: one attempt, no waiting.

    The options become part of the pool's key, so that plain tasks keep Celery's policy.
    """
    connection: Connection = app.connection_for_write(
        url, transport_options={"max_retries": 0}
    )
    return connection
