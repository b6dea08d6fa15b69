"""Health checks of the web process, for Compose, Kubernetes and load balancers."""

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from kombu.exceptions import OperationalError

from config import drain
from config.celery import app as celery_app

ALIVE = "/healthz"
READY = "/readyz"

# For each answer of the broker, while a load balancer waits for ours: HAProxy a second, by
# default. A broker may also accept connections and say nothing.
BROKER_SECONDS = 0.5


class HealthMiddleware:
    """Answers `/healthz` and `/readyz` before anything asks for HTTPS or ALLOWED_HOSTS.

    Probes name whatever address they have as the host: that of a pod, for example.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path == ALIVE:
            return alive()
        if request.path == READY:
            return ready()
        return self.get_response(request)


def alive() -> JsonResponse:
    """Answer 200 while the process serves requests, whatever else is down."""
    return JsonResponse({"status": "alive"})


def ready() -> JsonResponse:
    """Answer 200 when requests can be served, else 503.

    The database must answer and its migrations be applied, and the server not be about to
    stop. A broker that is down or silent is reported, without delay, and leaves the status
    at 200: taking every web process out of rotation would make an outage of the background
    work one of the whole service.
    """
    database = _database_state()
    stopping = drain.begun()
    ok = database == "ok" and not stopping
    return JsonResponse(
        {
            "status": "ready" if ok else "stopping" if stopping else "not ready",
            "database": database,
            "broker": broker_state(BROKER_SECONDS),
        },
        status=200 if ok else 503,
    )


def has_pending_migrations(database: BaseDatabaseWrapper) -> bool:
    """Return whether a database lacks migrations that the code has.

    Raises:
        DatabaseError: if it does not answer.
    """
    executor = MigrationExecutor(database)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def broker_state(seconds: float) -> str:
    """Return `ok` or `down`.

    Args:
        seconds: that it may take to accept a connection, and for each answer.
    """
    # Redis reads the first two, RabbitMQ the others, and each ignores what it does not know.
    patience = dict.fromkeys(
        ("socket_connect_timeout", "socket_timeout", "read_timeout", "write_timeout"),
        seconds,
    )
    with celery_app.connection_for_write(
        connect_timeout=seconds, transport_options=patience
    ) as broker:
        # RabbitMQ calls a wrong password an error of a channel.
        down: Any = (*broker.connection_errors, *broker.channel_errors)
        try:
            broker.ensure_connection(max_retries=0)
        except (OperationalError, *down):
            return "down"
    return "ok"


def _database_state() -> str:
    try:
        return "migrations pending" if has_pending_migrations(connection) else "ok"
    except DatabaseError:
        return "down"
