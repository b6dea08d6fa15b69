"""Settings of the test run: hermetic, whatever the developer's `.env` says.

`.env.example` stands in for `.env`, which also proves that the example works. Set
`TEST_DATABASE_URL` to run the tests on PostgreSQL, and `TEST_BROKER=rabbitmq` to run those
with real servers on RabbitMQ.
"""

import os
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_scratch = tempfile.TemporaryDirectory(prefix="tests-")  # removed when this is
SCRATCH = Path(_scratch.name)

ON_RABBITMQ = {"": False, "redis": False, "rabbitmq": True}[
    os.environ.get("TEST_BROKER", "")
]

os.environ |= {
    "ENV_FILE": str(ROOT / ".env.example"),
    "SECRET_KEY": "tests-only-" + "0" * 32,
    "API_TOKEN": "tests-only-" + "1" * 32,
    "DATABASE_URL": os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{SCRATCH}/db",
    "MEDIA_ROOT": str(SCRATCH / "media"),
    "REDIS_URL": "redis://127.0.0.1:1",
    "BROKER_URL": "amqp://127.0.0.1:1" if ON_RABBITMQ else "",
    "CELERY_BROKER_CONNECTION_TIMEOUT": "5",  # the cores may be shared
    "LOG_LEVEL": "WARNING",
}

from config.env import env
from config.logs import logging_config
from config.settings import *
from config.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS += ["tests.harness.effects"]
CELERY_IMPORTS = ["tests.harness.effects.tasks"]

# A file, not memory: integration tests share the database with a real worker process.
DATABASES["default"]["TEST"] = {"NAME": f"{SCRATCH}/test.sqlite3"}
if DATABASES["default"]["ENGINE"] != "django.db.backends.sqlite3":
    del DATABASES["default"]["TEST"]

# A failed test shows it, also in a file and in CI.
LOGGING = logging_config(level=env.LOG_LEVEL, output="console", colours=False)

# Unit tests need no server.
CELERY_BROKER_URL = "memory://"
RATE_LIMIT_STORAGE_URL = "memory://"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
WHITENOISE_AUTOREFRESH = True  # no `collectstatic` before tests
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
