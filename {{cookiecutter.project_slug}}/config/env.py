"""The environment as one typed object: every operational setting of the service.

Each field is one variable. A value is taken from the file that `<NAME>_FILE` names (of a
secret), else from the process environment, else from `.env`, else from the default here; a
malformed value, and a name in `.env` that is not declared here, stops the process at start
with the variable's name. Business settings of `app/` are declared in `config/app_env.py`;
both are read as `from config.env import env`. Nothing else in the project reads the
environment.
"""

import os
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.core.exceptions import ImproperlyConfigured
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from config import queues
from config.app_env import AppEnv
from config.env_types import CommaSeparated

BASE_DIR = Path(__file__).resolve().parent.parent

# Written by `make run` while its own broker is up, so that other terminals find it.
EMBEDDED_ENV_FILE = BASE_DIR / "var" / "embedded.env"

# Nothing listens on port 1: a connection fails at once and says so, instead of reaching
# whatever Redis happens to run on the default port.
NO_BROKER_URL = "redis://127.0.0.1:1"


def _split_pairs(value: object) -> object:
    """Turn `io=8, slow=1` into `{"io": "8", "slow": "1"}`."""
    if not isinstance(value, str):
        return value
    pairs = [item.partition("=") for item in value.split(",") if item.strip()]
    return {name.strip(): number.strip() for name, _, number in pairs}


def _known_queues(value: dict[str, int]) -> dict[str, int]:
    for name in value:
        queues.by_name(name)
    return value


def _known_time_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("not a time zone of the IANA database, such as Europe/Berlin")
    return value


def _starts_with(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if not value.startswith(schemes):
            raise ValueError(f"expected an address that starts with {schemes[0]}")
        return value

    return AfterValidator(check)


def _without_database(value: str) -> str:
    if urlsplit(value).path not in ("", "/", "/0"):
        raise ValueError(
            "expected an address without a database: the service uses 0 and 2"
        )
    return value


def _importable(value: str) -> str:
    try:
        found = find_spec(value.rpartition(".")[0])
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ValueError("expected the full name of a class that can be imported")
    return value


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 32:
        raise ValueError("expected at least 32 characters")
    return value


# Secrets, and addresses that may hold one. Each may be given as a file instead.
FROM_FILES = (
    "SECRET_KEY",
    "API_TOKEN",
    "DATABASE_URL",
    "DATABASE_PASSWORD",
    "REDIS_URL",
    "BROKER_URL",
    "CELERY_RESULT_BACKEND",
    "EMAIL_HOST_PASSWORD",
    "SENTRY_DSN",
    "OTEL_EXPORTER_OTLP_HEADERS",
)

TimeZone = Annotated[str, AfterValidator(_known_time_zone)]
RedisUrl = Annotated[
    str, _starts_with("redis://", "rediss://"), AfterValidator(_without_database)
]
RabbitUrl = Annotated[str, _starts_with("amqp://", "amqps://")]
DatabaseUrl = Annotated[str, _starts_with("postgres://", "postgresql://", "sqlite:///")]
HttpAddress = Annotated[str, _starts_with("http://", "https://")]
ImportPath = Annotated[str, AfterValidator(_importable)]
Secret = Annotated[SecretStr, AfterValidator(_long_enough)]
PerQueue = Annotated[
    dict[str, PositiveInt],
    NoDecode,
    BeforeValidator(_split_pairs),
    AfterValidator(_known_queues),
]


class SecretFiles(PydanticBaseSettingsSource):
    """Values from files: `SECRET_KEY_FILE=/run/secrets/secret_key` in the environment.

    The way of containers, because everybody who may look at one sees its variables.
    """

    def get_field_value(
        self, field: FieldInfo, field_name: str
    ) -> tuple[str | None, str, bool]:
        """Return what the file of a variable holds, if one is named."""
        path = os.environ.get(f"{field_name}_FILE")
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except OSError as error:
            raise ImproperlyConfigured(
                f"{field_name}_FILE: cannot read {path}: {error.strerror}"
            ) from None

    def __call__(self) -> dict[str, Any]:
        found = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
            if name in FROM_FILES
        }
        return {name: value for name, value in found.items() if value is not None}


class Env(AppEnv):
    """Everything that differs between a laptop, a test run and production."""

    model_config = SettingsConfigDict(
        case_sensitive=True,
        env_file=(os.environ.get("ENV_FILE", BASE_DIR / ".env"), EMBEDDED_ENV_FILE),
        env_ignore_empty=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read files, too; a file wins over a variable."""
        files = SecretFiles(settings_cls)
        return init_settings, files, env_settings, dotenv_settings

    # --- the service
    SERVICE_NAME: str
    TIME_ZONE: TimeZone = "UTC"
    DEBUG: bool = False
    SECRET_KEY: Secret
    API_TOKEN: Secret
    ALLOWED_HOSTS: CommaSeparated = ["localhost", "127.0.0.1"]
    CSRF_TRUSTED_ORIGINS: CommaSeparated = []
    HTTPS_ONLY: bool = True
    WEB_BIND: str = "127.0.0.1"
    WEB_PORT: PositiveInt = 8000
    WEB_WORKERS: PositiveInt = 2
    WEB_DRAIN_SECONDS: float = Field(default=0, ge=0)
    MEDIA_ROOT: Path = BASE_DIR / "var" / "media"
    HEALTH_FILE: Path | None = None
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    LOG_FORMAT: Literal["console", "json"] = "json"

    # --- of docker compose alone
    COMPOSE_FILE: str = "docker-compose.yml"
    IMAGE: str | None = None
    BROKER_PASSWORD: SecretStr | None = None
    FLOWER_PASSWORD: SecretStr | None = None

    # --- seeing it: metrics, errors, traces
    METRICS_BIND: str = "127.0.0.1"
    METRICS_PORT: PositiveInt = 9400
    WEB_METRICS_PORT: PositiveInt | None = None
    SENTRY_DSN: SecretStr | None = None
    OTEL_EXPORTER_OTLP_ENDPOINT: HttpAddress | None = None
    OTEL_EXPORTER_OTLP_HEADERS: SecretStr | None = None
    TRACES_RATIO: float = Field(default=1.0, ge=0, le=1)

    # --- PostgreSQL or SQLite
    DATABASE_URL: DatabaseUrl = f"sqlite:///{BASE_DIR / 'var' / 'db.sqlite3'}"
    DATABASE_PASSWORD: SecretStr | None = None
    DATABASE_CONN_MAX_AGE_SECONDS: int = Field(default=60, ge=0)

    # --- Redis: broker in database 0 if there is no other, results in 1, cache and rate
    # limits in 2
    REDIS_URL: RedisUrl = NO_BROKER_URL
    REDIS_PASSWORD: SecretStr | None = None  # of the server that we start ourselves
    REDIS_TIMEOUT_SECONDS: PositiveFloat = 5.0

    # --- Celery
    BROKER_URL: RabbitUrl | None = None  # RabbitMQ instead of database 0 of Redis
    WORKER_CONCURRENCY: PerQueue = {}
    # Where a supervisor kills sooner than config/queues.py says (Kubernetes: after 30 s).
    WORKER_SHUTDOWN_GRACE: PerQueue = {}
    BROKER_VISIBILITY_TIMEOUT_SECONDS: PositiveInt = 3600
    CELERY_BROKER_CONNECTION_TIMEOUT: PositiveFloat = 2.0
    CELERY_RESULT_BACKEND: str = "ledger.backend:LedgerBackend"
    CELERY_WORKER_PREFETCH_MULTIPLIER: PositiveInt = 1
    CELERY_WORKER_MAX_TASKS_PER_CHILD: PositiveInt = 1000
    CELERY_WORKER_MAX_MEMORY_PER_CHILD: PositiveInt = 400_000
    CELERY_BEAT_MAX_LOOP_INTERVAL: PositiveInt = 5

    # --- the ledger (ledger/): every run of a durable task is a row
    # How long a worker may be silent before its runs are started again. Longer than the
    # pauses of a healthy one (a database restart, a suspended machine), because a run that
    # is started twice does its work twice.
    LEDGER_LEASE_SECONDS: PositiveFloat = 30.0
    # Several to a lease, so that two may fail.
    LEDGER_HEARTBEAT_SECONDS: PositiveFloat = 10.0
    # Starts without an end before a run is dead: two may be someone else's fault.
    LEDGER_MAX_CRASHES: PositiveInt = 3
    # How long a run waits for one level of priority: what has the lowest, 9, is treated
    # as urgent after nine times as long, so that it cannot wait for ever.
    LEDGER_AGEING_SECONDS: PositiveFloat = 60.0
    # How long a message may go unclaimed in an empty queue before it counts as lost.
    LEDGER_LOST_SECONDS: PositiveFloat = 5.0
    # How far back ticks that were missed, because no beat ran, are made up for. At least a
    # minute, so that a beat which is merely slow misses none.
    LEDGER_CATCH_UP_SECONDS: int = Field(default=3600, ge=60)
    # How long a run waits for a worker that knows its task: longer than a deploy takes.
    LEDGER_UNKNOWN_TASK_SECONDS: PositiveFloat = 3600.0
    # How long ended runs and their results are kept: long enough to be looked at, and
    # longer than a message can be on its way, because its run says that it is old.
    LEDGER_KEEP_SECONDS: PositiveInt = 86_400
    # The same for runs that ended without success: somebody may want to replay them.
    LEDGER_KEEP_FAILED_SECONDS: PositiveInt = 2_592_000

    # --- mail
    EMAIL_BACKEND: ImportPath = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST: str = "localhost"
    EMAIL_PORT: PositiveInt = 587
    EMAIL_HOST_USER: str = ""
    EMAIL_HOST_PASSWORD: SecretStr | None = None
    EMAIL_USE_TLS: bool = True
    EMAIL_TIMEOUT_SECONDS: PositiveFloat = 10.0
    DEFAULT_FROM_EMAIL: str

    def secrets(self) -> list[str]:
        """Return the values that no log may show."""
        return [
            value.get_secret_value()
            for _, value in self
            if isinstance(value, SecretStr) and value.get_secret_value()
        ]

    @model_validator(mode="after")
    def _visibility_outlasts_every_task(self) -> Self:
        """A message unacknowledged for longer than this is delivered again.

        See "Visibility timeout" in
        https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html
        """
        longest = max(queue.time_limit for queue in queues.QUEUES)
        if longest >= self.BROKER_VISIBILITY_TIMEOUT_SECONDS:
            raise ValueError(
                "BROKER_VISIBILITY_TIMEOUT_SECONDS must exceed the longest hard time "
                f"limit in config/queues.py ({longest} s), else long tasks run twice"
            )
        return self

    @model_validator(mode="after")
    def _lease_outlasts_lost_heartbeats(self) -> Self:
        if self.LEDGER_HEARTBEAT_SECONDS * 2 > self.LEDGER_LEASE_SECONDS:
            raise ValueError(
                "LEDGER_LEASE_SECONDS must be at least twice LEDGER_HEARTBEAT_SECONDS, "
                "else one lost heartbeat makes a healthy worker's runs start again"
            )
        return self

    @model_validator(mode="after")
    def _runs_outlast_the_ticks_that_made_them(self) -> Self:
        """The row of a tick is what tells other beats that it has run."""
        kept = min(self.LEDGER_KEEP_SECONDS, self.LEDGER_KEEP_FAILED_SECONDS)
        if kept < self.LEDGER_CATCH_UP_SECONDS:
            raise ValueError(
                "LEDGER_KEEP_SECONDS and LEDGER_KEEP_FAILED_SECONDS must not be below "
                f"LEDGER_CATCH_UP_SECONDS ({self.LEDGER_CATCH_UP_SECONDS} s), else a tick "
                "may be made up for that has run already"
            )
        return self


def load(**overrides: Any) -> Env:
    """Read the environment.

    Args:
        overrides: values that win over the environment, by variable name.

    Returns:
        The validated settings.

    Raises:
        ImproperlyConfigured: with one line per wrong variable: its name and what is
            accepted. Values are not repeated, because they may be secrets.
    """
    try:
        return Env(**overrides)
    except ValidationError as error:
        lines = [_explain(detail["loc"], detail["msg"]) for detail in error.errors()]
        raise ImproperlyConfigured(
            "The environment is not usable (see .env.example):\n  " + "\n  ".join(lines)
        ) from None


def tell_libraries(**variables: str) -> None:
    """Set variables of this process that a library reads by itself.

    Args:
        variables: values by name.
    """
    os.environ.update(variables)


def _explain(location: tuple[int | str, ...], message: str) -> str:
    name = ".".join(str(part) for part in location)
    if message.startswith("Extra inputs"):
        near = get_close_matches(name, Env.model_fields, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        message = f"not a known setting{meant}"
    elif message == "Field required":
        message = "is missing"
    message = message.removeprefix("Value error, ")
    return f"{name}: {message}" if name else message


env = load()
