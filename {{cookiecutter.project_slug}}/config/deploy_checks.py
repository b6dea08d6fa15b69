"""System checks of a deployment that runs: `manage.py check --deploy`.

They ask the servers that the settings name, with short timeouts, and say what a wrong answer
costs. Run them where the service runs, after each deploy. That `DEBUG` is off is Django's own
check, security.W018. An address is shown without its password.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import redis
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from config import health, queues
from config.celery import app

Apps = Sequence[AppConfig] | None

ANSWER_SECONDS = 2

# Leases last for tens of seconds; `eta` and the log are read in seconds.
MAX_CLOCK_DIFFERENCE_SECONDS = 5

UNVERIFIED = ("none", "cert_none", "optional", "cert_optional", "false", "0", "no")


class Use(NamedTuple):
    """A Redis database and what it is for.

    Attributes:
        purpose: such as `broker`.
        url: its address.
        keeps: whether it holds what must not go away.
    """

    purpose: str
    url: str
    keeps: bool

    @property
    def server(self) -> str:
        """Host and port, without the password."""
        parts = urlsplit(self.url)
        host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
        return f"{host}:{parts.port or 6379}"

    @property
    def database(self) -> str:
        """Server and number of the database."""
        return f"{self.server}/{urlsplit(self.url).path.strip('/') or 0}"


def redis_uses() -> list[Use]:
    """Return what Redis is used for, by the effective settings."""
    uses = [
        Use("broker", str(app.conf.broker_url or ""), keeps=True),
        Use("result backend", str(app.conf.result_backend or ""), keeps=True),
        Use("cache", str(settings.CACHES["default"].get("LOCATION", "")), keeps=False),
        Use("rate limits", settings.RATE_LIMIT_STORAGE_URL, keeps=False),
    ]
    return [use for use in uses if use.url.startswith(("redis://", "rediss://"))]


@register(deploy=True)
def redis_keeps_messages(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """The Redis that holds messages evicts nothing and survives a restart."""
    servers = {
        use.server: use for use in sorted(redis_uses(), key=lambda use: use.keeps)
    }
    for use in servers.values():
        client = redis.Redis.from_url(
            use.url,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
        )
        try:
            with closing(client):
                yield from _problems(use, client)
        except redis.RedisError as error:
            yield Error(
                f"Redis at {use.server} ({use.purpose}) does not answer: "
                f"{type(error).__name__}.",
                hint="Start it, or correct REDIS_URL.",
                id="config.E010",
            )


@register(deploy=True)
def cache_is_apart(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """Clearing the cache, which empties its database, takes no message along."""
    kept = {use.database: use for use in redis_uses() if use.keeps}
    for use in redis_uses():
        if not use.keeps and use.database in kept:
            yield Error(
                f"The {use.purpose} and the {kept[use.database].purpose} share the Redis "
                f"database {use.database}: clearing the one empties the other.",
                hint="Give each a number of its own, as config/settings.py does.",
                id="config.E013",
            )


@register(deploy=True)
def tls_is_verified(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """An encrypted connection goes to whom it says: certificates are checked."""
    for use in redis_uses():
        if use.url.startswith("rediss://") and _is_unverified(use.url):
            yield _unverified(f"to Redis at {use.server} ({use.purpose})")
    for setting in ("broker_use_ssl", "redis_backend_use_ssl"):
        options = app.conf.get(setting)
        if isinstance(options, Mapping) and _is_lax(options):
            yield _unverified(f"by CELERY_{setting.upper()}")


@register(deploy=True)
def tasks_run_in_workers(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """No task is executed in the process that calls it."""
    if app.conf.task_always_eager:
        yield Error(
            "CELERY_TASK_ALWAYS_EAGER is on: requests execute tasks, and nothing is kept.",
            hint="It is for tests; drop it.",
            id="config.E014",
        )


@register(deploy=True)
def database_is_ready(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """The database answers, is migrated, and has about our time."""
    with closing(_impatient_connection()) as connection:
        try:
            difference = _database_time(connection) - time.time()
            pending = health.has_pending_migrations(connection)
        except DatabaseError as error:
            yield Error(
                f"The database does not answer: {type(error).__name__}.",
                hint="Start it, or correct DATABASE_URL.",
                id="config.E015",
            )
            return
    if pending:
        yield Error(
            "Migrations are pending: code and tables disagree.",
            hint="Run manage.py migrate.",
            id="config.E016",
        )
    if abs(difference) > MAX_CLOCK_DIFFERENCE_SECONDS:
        yield Error(
            f"The database's clock differs from ours by {difference:+.0f} s: what is due "
            "starts too early or too late.",
            hint="Synchronise both machines by NTP.",
            id="config.E017",
        )


@register(deploy=True)
def every_queue_is_served(app_configs: Apps, **kwargs: Any) -> Iterable[CheckMessage]:
    """A living worker consumes from each queue."""
    if health.broker_state(ANSWER_SECONDS) != "ok":
        yield Error(
            "The broker does not answer, so that no worker can be asked.",
            hint="Start it, or correct REDIS_URL (BROKER_URL for RabbitMQ).",
            id="config.E018",
        )
        return
    answers = app.control.inspect(timeout=ANSWER_SECONDS).active_queues() or {}
    served = {queue["name"] for consumed in answers.values() for queue in consumed}
    for queue in queues.QUEUES:
        if queue.name not in served:
            yield Error(
                f"No living worker consumes from the queue {queue.name!r}.",
                hint=f"Start one: manage.py worker {queue.name}.",
                id="config.E019",
            )


def _problems(use: Use, client: redis.Redis) -> Iterator[CheckMessage]:
    policy = _info(client, "memory").get("maxmemory_policy")
    if use.keeps and policy != "noeviction":
        yield Error(
            f"Redis at {use.server} ({use.purpose}) has maxmemory-policy {policy}: when "
            "its memory is full, it throws messages away.",
            hint="Set maxmemory-policy noeviction.",
            id="config.E011",
        )
    if use.keeps and not _is_persistent(client):
        yield Error(
            f"Redis at {use.server} ({use.purpose}) keeps nothing over a restart.",
            hint="Set appendonly yes.",
            id="config.E012",
        )


def _info(client: redis.Redis, section: str) -> Mapping[str, Any]:
    answer: Any = client.info(section)  # typed as if it might be awaited
    found: Mapping[str, Any] = answer
    return found


def _is_persistent(client: redis.Redis) -> bool:
    if _info(client, "persistence").get("aof_enabled"):
        return True
    try:
        answer: Any = client.config_get("save")
    except redis.ResponseError:
        return False  # forbidden, as hosted servers do: only appendonly can be seen
    return bool(answer.get("save"))


def _is_unverified(url: str) -> bool:
    return _is_lax(
        {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
    )


def _is_lax(options: Mapping[str, Any]) -> bool:
    """Whether options of TLS, as in an address or as Celery takes them, trust anyone."""
    for name in ("ssl_cert_reqs", "cert_reqs", "ssl_check_hostname", "check_hostname"):
        value = options.get(name)
        if value is not None and _text(value).lower() in UNVERIFIED:
            return True
    return False


def _text(value: object) -> str:
    """Return `cert_none` for `ssl.CERT_NONE`, too."""
    return str(getattr(value, "name", value))


def _unverified(where: str) -> Error:
    return Error(
        f"TLS {where} does not verify who answers.",
        hint="Drop ssl_cert_reqs and ssl_check_hostname; name a private authority by "
        "ssl_ca_certs.",
        id="config.E020",
    )


def _impatient_connection() -> BaseDatabaseWrapper:
    """Return a connection of our own, which gives up soon."""
    connection = connections.create_connection("default")
    if connection.vendor == "postgresql":
        options = {
            **connection.settings_dict["OPTIONS"],
            "connect_timeout": ANSWER_SECONDS,
        }
        connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
    return connection


def _database_time(connection: BaseDatabaseWrapper) -> float:
    """Return the database's time in seconds since 1970; SQLite has this machine's."""
    sql = (
        "SELECT EXTRACT(EPOCH FROM clock_timestamp())"
        if connection.vendor == "postgresql"
        else "SELECT (julianday('now') - 2440587.5) * 86400"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return float(cursor.fetchone()[0])
