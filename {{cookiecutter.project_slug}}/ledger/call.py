"""One call of a task: what `apply_async` was given, in the form that a row can keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from inspect import signature
from typing import Any

from celery import Celery, Task
from celery.utils import uuid
from celery.utils.time import maybe_make_aware
from django.dispatch import Signal
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps

from ledger import doorbell
from ledger.states import State

# What `apply_async` accepts and no row can keep: objects of the calling process, and how
# that process wants to publish.
_NOT_STORED = frozenset("""
    producer connection publisher router result_cls retry retry_policy exchange routing_key
    exchange_type redelivered add_to_parent countdown eta unique_key route_name priority
    """.split())

# What would wait for ever for a call whose unique key another run has.
_FOLLOWED_BY = ("group_id", "chord", "chain", "link", "link_error")

# Sent with `headers`, a dictionary to which receivers add what shall travel with the run.
# Unlike Celery's `before_task_publish`, it is sent where the call is made.
before_enqueue = Signal()


# Celery's range, in the meaning that it has with Redis: 0 is the most urgent.
LEAST_URGENT = 9

# What a call is, in the row of its run.
COLUMNS = ("name", "queue", "priority", "lane", "args", "kwargs", "options")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a task, as it is stored and as it is published.

    Attributes:
        id: of the run, and of its message.
        name: of the task.
        queue: where it is published.
        args: positional arguments.
        kwargs: keyword arguments.
        options: of `apply_async`, without those that belong to the caller's process.
        delay: seconds from now before which it may not start.
        expires_in: seconds from now after which it may not start.
        unique_key: at most one active run has it.
        priority: 0, the most urgent, to 9.
        lane: in which it waits for its turn; '' if it needs none.
        number: of the call within its run; retries and replacements count up.
    """

    id: str
    name: str
    queue: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    delay: float = 0
    expires_in: float | None = None
    unique_key: str | None = None
    number: int = 0
    priority: int = 0
    lane: str = ""

    def first_state(self) -> State:
        """Return the state in which it is stored; whoever stores it as queued rings."""
        if self.lane or not self._may_ring():
            return State.PENDING
        return State.QUEUED

    def may_be_first(self) -> bool:
        """Return whether it could be rung at once if nobody waits in its lane."""
        return bool(self.lane) and self._may_ring()

    def _may_ring(self) -> bool:
        return self.delay <= 0 and not doorbell.is_down()

    def columns(self) -> tuple[object, ...]:
        """Return its values for `COLUMNS`.

        Raises:
            EncodeError: if one of them is not JSON, as Celery itself would raise.
        """
        try:
            encoded = (dumps(self.args), dumps(self.kwargs), dumps(self.options))
        except (TypeError, ValueError) as error:
            raise EncodeError(str(error)) from error
        return (self.name, self.queue, self.priority, self.lane, *encoded)


def prepare(
    task: Task[Any, Any],
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: dict[str, Any],
) -> Call:
    """Turn the arguments of `apply_async` into a call.

    Args:
        task: to be called.
        args: positional arguments.
        kwargs: keyword arguments.
        options: all others.

    Raises:
        TypeError: if the task's function does not take these arguments.
        ValueError: if its soft time limit exceeds the hard one, or there is no such
            priority.
        QueueNotFound: if the queue is not in the topology.
        ValueError: if a call that may turn out to be another one has a unique key, and
            something that waits for it.
    """
    app: Any = task.app
    known: Any = task  # the types of Celery leave some of it out
    args, kwargs = tuple(args or ()), dict(kwargs or {})
    header = getattr(task, "__header__", None)
    if task.typing and header:
        header(*args, **kwargs)
    dump_models = getattr(task, "_dump_pydantic_arguments", None)
    if dump_models:
        args, kwargs = dump_models(args, kwargs)
    options = {**known._get_exec_options(), **options}
    _check_limits(task, options)
    parent = app.current_worker_task
    unique_key = None
    if not parent or options.get("task_id") != parent.request.id:
        # Else it is a retry or a replacement, whose run has its key already.
        unique_key = _unique_key(task, args, kwargs, options)
    if parent:
        request = parent.request
        options["root_id"] = options.get("root_id") or request.root_id or request.id
        options["parent_id"] = options.get("parent_id") or request.id
        if app.conf.task_inherit_parent_priority and options.get("priority") is None:
            options["priority"] = (request.delivery_info or {}).get("priority")
    options["ignore_result"] = _ignores_result(task, options)
    expires_in = seconds_until(app, options.get("expires"))
    if expires_in is not None:
        options["expires"] = (_utc_now() + timedelta(seconds=expires_in)).isoformat()
    headers = doorbell.without_ours(options.get("headers") or {})
    before_enqueue.send(sender=task, headers=headers)
    delay = options.get("countdown")
    if delay is None:
        delay = seconds_until(app, options.get("eta")) or 0
    if delay > 0:
        headers[doorbell.ETA] = (_utc_now() + timedelta(seconds=delay)).isoformat()
    options["headers"] = headers or None
    queue, priority = _route(app, task, args, kwargs, options)
    limited = getattr(task, "start_interval", None) is not None
    return Call(
        id=options.pop("task_id", None) or uuid(),
        name=task.name,
        queue=queue,
        args=args,
        kwargs=kwargs,
        options={
            name: value
            for name, value in options.items()
            if value is not None and name not in _NOT_STORED and name != "queue"
        },
        delay=max(0.0, float(delay)),
        expires_in=expires_in,
        unique_key=unique_key,
        priority=priority,
        lane=_lane(queue, task.name, priority, limited=limited),
    )


def _unique_key(
    task: Task[Any, Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: Mapping[str, Any],
) -> str | None:
    """Return the key of this call, from the call itself or from the task's template."""
    key: str | None = options.get("unique_key")
    template: str | None = getattr(task, "unique_key", None)
    if key is None and template:
        arguments = signature(task.run).bind(*args, **kwargs)
        arguments.apply_defaults()
        key = template.format_map(arguments.arguments)
    followed_by = [name for name in _FOLLOWED_BY if options.get(name)]
    if key and followed_by:
        raise ValueError(
            f"{task.name} has the unique key {key!r}, so that this call may be none of "
            f"its own: it cannot be part of a canvas ({', '.join(followed_by)})"
        )
    return key


def queue_of(routing_key: str) -> str:
    """Return the name of the queue that a message was published for.

    The routing key is that name. On RabbitMQ, Celery writes the countdown of a task that has
    no row, bit by bit, before it: `0.….1.0.fast`.
    """
    return routing_key.rpartition(".")[2]


def _lane(queue: str, name: str, priority: int, *, limited: bool) -> str:
    """Return the lane of a call: its queue, and its task if that is limited; '' for none."""
    if not 0 <= priority <= LEAST_URGENT:
        raise ValueError(
            f"priority must be 0 (most urgent) to {LEAST_URGENT}, not {priority}"
        )
    if limited:
        return f"{queue} {name}"
    return queue if priority else ""


def _check_limits(task: Task[Any, Any], options: Mapping[str, Any]) -> None:
    soft = options.get("soft_time_limit") or task.soft_time_limit
    hard = options.get("time_limit") or task.time_limit
    if soft and hard and soft > hard:
        raise ValueError("soft_time_limit must be less than or equal to time_limit")


def _ignores_result(task: Task[Any, Any], options: Mapping[str, Any]) -> bool:
    ignore = options.get("ignore_result")
    return bool(task.ignore_result if ignore is None else ignore)


def _route(
    app: Any,
    task: Task[Any, Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    options: dict[str, Any],
) -> tuple[str, int]:
    """Return the name of the queue and the priority, by Celery's own rules.

    `retry` names exchange and routing key of the message that it continues.
    """
    named = queue_of(options.get("routing_key") or "")
    if options.get("queue") is None and named in app.amqp.queues:
        return named, int(options.get("priority") or 0)
    routed = app.amqp.router.route(dict(options), task.name, args, kwargs, task)
    return str(routed["queue"].name), int(routed.get("priority") or 0)


def seconds_until(app: Any, moment: Any) -> float | None:
    """Return the seconds from now until a time, or the number of seconds itself."""
    if moment is None or isinstance(moment, int | float):
        return moment
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    aware: datetime = maybe_make_aware(moment, app.timezone)
    return (aware - _utc_now()).total_seconds()


def _utc_now() -> datetime:
    return datetime.now(UTC)
