"""System checks of the registered tasks and the effective settings: `manage.py check`.

They look at what no source shows: tasks that libraries bring along, options that a setting
changes behind a decorator's back, where the router really sends a task. What source shows is
checked there, by `tools/contract`; `docs/contract.md` lists both. Nothing is connected to.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any

from celery import Task
from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning, register

from config import broker, queues
from config.celery import app, task_modules
from config.env import BASE_DIR, env
from ledger.task import DurableTask

Apps = Sequence[AppConfig] | None

# What a task must have, to be neither lost nor endless; its source is not ours to check.
REQUIRED = {
    "acks_late": True,
    "reject_on_worker_lost": True,
}
LIMITS = ("soft_time_limit", "time_limit")

# kombu's own, in seconds, if nothing else is set:
# https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.redis.html
DEFAULT_VISIBILITY_SECONDS = 3600


def registered_tasks() -> list[Task[Any, Any]]:
    """Return every task that a worker of this project would know, but Celery's own."""
    # Not `app.loader.import_default_modules()`, which runs the checks:
    # https://github.com/celery/celery/blob/v5.6.0/celery/fixups/django.py
    for module in (*task_modules(), *app.conf.imports, *app.conf.include):
        import_module(module)
    app.finalize()
    return [task for name, task in app.tasks.items() if not name.startswith("celery.")]


def is_ours(task: Task[Any, Any]) -> bool:
    """Return whether a task's source is in this project, where the contract reads it."""
    package = type(task).__module__.partition(".")[0]
    return (BASE_DIR / package).is_dir()


@register
def no_option_is_changed(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """Options stand in the decorator: `task_annotations` would change them unseen.

    https://docs.celeryq.dev/en/stable/userguide/configuration.html#task-annotations
    """
    if app.conf.task_annotations:
        yield Error(
            "CELERY_TASK_ANNOTATIONS changes options of tasks behind their decorators.",
            hint="Write the options where the tasks are.",
            id="config.E001",
        )


@register
def tasks_of_libraries_are_safe(
    app_configs: Apps, **kwargs: Any
) -> Iterable[CheckMessage]:
    """A library's task is neither lost with its worker nor endless."""
    for task in registered_tasks():
        if not is_ours(task) and (missing := list(_missing(task))):
            yield Error(
                f"Task {task.name}, of a library, has no {', '.join(missing)}.",
                hint="Set what is missing by the library's own settings, or call what it "
                "does from a task of your own.",
                id="config.E002",
            )


@register
def tasks_go_where_they_say(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """The router sends each task to the queue of its decorator, which has its limits."""
    known = {queue.name for queue in queues.QUEUES}
    for task in registered_tasks():
        sent_to = app.amqp.router.route({}, task.name, task_type=type(task))[
            "queue"
        ].name
        declared = getattr(task, "queue", None)
        if sent_to not in known or declared not in (None, sent_to):
            yield Error(
                f"Task {task.name} says queue {declared!r} and goes to {sent_to!r}.",
                hint="Drop what routes it elsewhere: CELERY_TASK_ROUTES in "
                "config/settings.py has config.queues.route alone.",
                id="config.E003",
            )


@register
def rate_limits_hold(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """A plain task's rate limit counts in each worker process by itself."""
    for task in registered_tasks():
        if not isinstance(task, DurableTask) and task.rate_limit:
            yield Warning(
                f"Task {task.name}: each worker counts its rate limit by itself.",
                hint="Make it durable (no base=…): then all workers share the limit.",
                id="config.W004",
            )


@register
def messages_outlast_tasks(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """No message is delivered again while its task may still run, or wait."""
    timeout = _visibility_seconds()
    for task in registered_tasks():
        held = _seconds_held(task)
        if held >= timeout:
            yield Error(
                f"Task {task.name} may hold its message for {held} s; after {timeout} s "
                "the broker delivers it again, and it runs twice.",
                hint="Raise BROKER_VISIBILITY_TIMEOUT_SECONDS, or lower its time limit "
                "(of a plain task: its retry_backoff_max, too).",
                id="config.E005",
            )


@register
def messages_are_json(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """Nothing is pickled: whoever can send such a message can run any code."""
    conf = app.conf
    hint = "Leave the serializers of config/settings.py at json."
    accepted = {*conf.accept_content, *(conf.result_accept_content or ())}
    serializers = {conf.task_serializer, conf.result_serializer}
    if not accepted | serializers <= {"json", "application/json"}:
        found = ", ".join(sorted(accepted | serializers))
        yield Error(f"Messages may be {found}.", hint=hint, id="config.E006")
    for task in registered_tasks():
        if task.serializer not in ("json", None):
            message = f"Task {task.name} is sent as {task.serializer}."
            yield Error(message, hint=hint, id="config.E006")


@register
def results_expire(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """Results are not kept for ever."""
    expires = app.conf.result_expires
    seconds = expires.total_seconds() if isinstance(expires, timedelta) else expires
    if not seconds or seconds <= 0:
        yield Error(
            "Results never expire: whatever keeps them grows until it is full.",
            hint="Set LEDGER_KEEP_SECONDS, which CELERY_RESULT_EXPIRES is taken from.",
            id="config.E007",
        )


def _missing(task: Task[Any, Any]) -> Iterator[str]:
    for option, value in REQUIRED.items():
        if getattr(task, option) != value:
            yield f"{option}={value}"
    for limit in LIMITS:
        if not (getattr(task, limit) or app.conf[f"task_{limit}"]):
            yield limit


def _visibility_seconds() -> float:
    if broker.is_rabbitmq(env):
        return env.BROKER_VISIBILITY_TIMEOUT_SECONDS
    options = app.conf.broker_transport_options
    seconds: float = options.get("visibility_timeout", DEFAULT_VISIBILITY_SECONDS)
    return seconds


def _seconds_held(task: Task[Any, Any]) -> float:
    """Return how long a worker may hold a message of a task without acknowledging it."""
    running = task.time_limit or app.conf.task_time_limit or 0
    if isinstance(task, DurableTask):
        return running  # it waits for its retry as a row
    waiting = getattr(task, "retry_backoff_max", 0) if task.max_retries else 0
    return max(running, waiting)
