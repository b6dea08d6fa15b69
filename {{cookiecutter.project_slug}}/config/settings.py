"""Django and Celery settings, all derived from `config/env.py` and `config/queues.py`.

Values that differ between deployments come from the environment; what stands here as a
constant is a guarantee of the service and the same everywhere.
"""

from pathlib import Path
from typing import Any

import dj_database_url
import django_stubs_ext

from config import broker, queues
from config.env import BASE_DIR, env
from config.logs import logging_config
from config.redis import redis_url
from config.schedule import SCHEDULE

# Lets `admin.ModelAdmin[Model]` be written: https://github.com/typeddjango/django-stubs
django_stubs_ext.monkeypatch()

# --- Django: https://docs.djangoproject.com/en/6.0/ref/settings/
SECRET_KEY = env.SECRET_KEY.get_secret_value()
DEBUG = env.DEBUG
ALLOWED_HOSTS = env.ALLOWED_HOSTS
CSRF_TRUSTED_ORIGINS = env.CSRF_TRUSTED_ORIGINS
TIME_ZONE = env.TIME_ZONE
USE_TZ = True
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "config",
    "ledger",
    "app",
]
if (BASE_DIR / "tools").is_dir():  # not in the image
    INSTALLED_APPS.append("tools.scaffold")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.logs.RequestIdMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "app.api.errors.ApiErrorsMiddleware",
]

if env.WEB_METRICS_PORT:
    MIDDLEWARE = [
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        *MIDDLEWARE,
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ]

# First: probes are neither redirected, logged nor counted, and name any host.
MIDDLEWARE = ["config.health.HealthMiddleware", *MIDDLEWARE]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "app" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
MEDIA_ROOT = env.MEDIA_ROOT

# --- security: https://docs.djangoproject.com/en/6.0/topics/security/
SECURE_SSL_REDIRECT = env.HTTPS_ONLY
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 31_536_000 if env.HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.HTTPS_ONLY
SECURE_HSTS_PRELOAD = env.HTTPS_ONLY
SESSION_COOKIE_SECURE = env.HTTPS_ONLY
CSRF_COOKIE_SECURE = env.HTTPS_ONLY

# --- database: PostgreSQL, or SQLite for a laptop
_database: dict[str, Any] = dict(
    dj_database_url.parse(
        env.DATABASE_URL,
        conn_max_age=env.DATABASE_CONN_MAX_AGE_SECONDS,
        conn_health_checks=True,
    )
)
if env.DATABASE_PASSWORD and not _database["PASSWORD"]:
    _database["PASSWORD"] = env.DATABASE_PASSWORD.get_secret_value()
if _database["ENGINE"] == "django.db.backends.sqlite3":
    Path(_database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    # IMMEDIATE takes the write lock at BEGIN, where the timeout applies; WAL lets readers
    # go on: https://docs.djangoproject.com/en/6.0/ref/databases/#sqlite-transaction-behavior
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
if _database["ENGINE"] == "django.db.backends.postgresql":
    # The server plans a repeated statement once per connection, which matters to the two
    # that every task costs. Not through a pooler that shares sessions:
    # https://www.psycopg.org/psycopg3/docs/advanced/prepare.html
    _database["OPTIONS"] = {"server_side_binding": True, "prepare_threshold": 2}
    # A server that vanished without a word is given up after 25 seconds: Linux alone would
    # wait for two hours, and every lease would lapse meanwhile.
    # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-KEEPALIVES
    _database["OPTIONS"] |= {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 25_000,  # milliseconds
    }
DATABASES = {"default": _database}

# --- cache: shared by all processes, because deduplication and rate limits rely on it
CACHE_URL = redis_url(env, database=2)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_URL,
        "KEY_PREFIX": env.SERVICE_NAME,
        "OPTIONS": {
            "socket_timeout": env.REDIS_TIMEOUT_SECONDS,
            "socket_connect_timeout": env.REDIS_TIMEOUT_SECONDS,
        },
    }
}

RATE_LIMIT_STORAGE_URL = CACHE_URL

# --- mail
EMAIL_BACKEND = env.EMAIL_BACKEND
EMAIL_HOST = env.EMAIL_HOST
EMAIL_PORT = env.EMAIL_PORT
EMAIL_HOST_USER = env.EMAIL_HOST_USER
EMAIL_HOST_PASSWORD = (
    env.EMAIL_HOST_PASSWORD.get_secret_value() if env.EMAIL_HOST_PASSWORD else ""
)
EMAIL_USE_TLS = env.EMAIL_USE_TLS
EMAIL_TIMEOUT = env.EMAIL_TIMEOUT_SECONDS
DEFAULT_FROM_EMAIL = env.DEFAULT_FROM_EMAIL

# --- logging
LOGGING = logging_config(
    level=env.LOG_LEVEL, output=env.LOG_FORMAT, secrets=env.secrets()
)

# --- Celery: https://docs.celeryq.dev/en/stable/userguide/configuration.html
CELERY_BROKER_URL = broker.broker_url(env)
CELERY_RESULT_BACKEND = env.CELERY_RESULT_BACKEND
CELERY_RESULT_EXPIRES = env.LEDGER_KEEP_SECONDS
CELERY_TIMEZONE = TIME_ZONE
CELERY_ENABLE_UTC = True

# JSON only: unpickling a message runs whatever code its sender likes.
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"

# The topology. A queue that it does not declare is an error, not a new queue that no
# worker serves.
CELERY_TASK_QUEUES = broker.task_queues(env)
CELERY_TASK_DEFAULT_QUEUE = queues.DEFAULT_QUEUE
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ROUTES = ["config.queues.route"]

# A message is acknowledged when its task has ended, not when it has begun, and returns to
# the queue when the worker that held it dies.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_SOFT_TIME_LIMIT = queues.by_name(queues.DEFAULT_QUEUE).soft_time_limit
CELERY_TASK_TIME_LIMIT = queues.by_name(queues.DEFAULT_QUEUE).time_limit

CELERY_WORKER_PREFETCH_MULTIPLIER = env.CELERY_WORKER_PREFETCH_MULTIPLIER
CELERY_WORKER_MAX_TASKS_PER_CHILD = env.CELERY_WORKER_MAX_TASKS_PER_CHILD
CELERY_WORKER_MAX_MEMORY_PER_CHILD = env.CELERY_WORKER_MAX_MEMORY_PER_CHILD
CELERY_WORKER_SEND_TASK_EVENTS = False
# After so many seconds, a task whose pool process died is given up; its result may still be
# in the pipe until then. Celery waits for 10.
CELERY_WORKER_LOST_WAIT = 2.0
# What a worker does not know or cannot read ends in the ledger.
CELERY_WORKER_CONSUMER = "ledger.consumer:LedgerConsumer"
# Celery closes the database connection after every task, else; `ledger/worker.py` drops
# those that cannot be used any more.
CELERY_DB_REUSE_MAX = 1_000_000

CELERY_BROKER_CONNECTION_TIMEOUT = env.CELERY_BROKER_CONNECTION_TIMEOUT
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker never gives up on its broker
# RabbitMQ takes a message back from a worker that holds it for too long, and closes its
# channel: the worker opens another, instead of ending.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_HEARTBEAT = broker.HEARTBEAT_SECONDS  # Redis has none
CELERY_BROKER_USE_SSL = broker.use_ssl(env)
CELERY_BROKER_TRANSPORT_OPTIONS = broker.transport_options(env)
# An exclusive queue belongs to its connection. A worker that lost one without a word would
# have to wait for its own ghost: https://www.rabbitmq.com/docs/queues#exclusive-queues
CELERY_CONTROL_QUEUE_EXCLUSIVE = not broker.is_rabbitmq(env)
CELERY_CONTROL_QUEUE_DURABLE = broker.is_rabbitmq(env)
CELERY_REDIS_SOCKET_CONNECT_TIMEOUT = env.CELERY_BROKER_CONNECTION_TIMEOUT
CELERY_REDIS_SOCKET_TIMEOUT = env.REDIS_TIMEOUT_SECONDS
CELERY_REDIS_RETRY_ON_TIMEOUT = True

CELERY_BEAT_SCHEDULER = "ledger.schedule:LedgerScheduler"
CELERY_BEAT_SCHEDULE = SCHEDULE
CELERY_BEAT_MAX_LOOP_INTERVAL = env.CELERY_BEAT_MAX_LOOP_INTERVAL
