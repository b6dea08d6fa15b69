"""Django's and Celery's settings."""

import os
import socket
import subprocess
import sys

import pytest
from celery.app.defaults import DEFAULTS
from django.conf import settings

from config import settings as project_settings
from config.env import BASE_DIR, Env

# What `celery.fixups.django` reads beside them.
FIXUP_SETTINGS = {"db_reuse_max"}


def celery_names(names: object) -> list[str]:
    return sorted(name for name in dir(names) if name.startswith("CELERY_"))


@pytest.mark.parametrize(
    "name", [*celery_names(project_settings), *celery_names(Env.model_construct())]
)
def test_celery_really_reads_this_setting(name: str) -> None:
    assert name.removeprefix("CELERY_").lower() in FIXUP_SETTINGS | set(DEFAULTS)


def test_messages_are_json_only() -> None:
    assert settings.CELERY_ACCEPT_CONTENT == ["json"]
    assert settings.CELERY_TASK_SERIALIZER == "json"


def test_sqlite_takes_the_write_lock_at_the_start_of_a_transaction() -> None:
    database = project_settings._database
    if "sqlite" in database["ENGINE"]:
        assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
        assert "journal_mode=WAL" in database["OPTIONS"]["init_command"]


def test_database_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgres://app@127.0.0.1:{silent.getsockname()[1]}/app"
        check = subprocess.run(
            [sys.executable, "manage.py", "migrate", "--check"],
            cwd=BASE_DIR,
            env={
                **os.environ,
                "DATABASE_URL": address,
                "DJANGO_SETTINGS_MODULE": "config.settings",
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert check.returncode != 0
    assert "timeout expired" in check.stderr


def test_nothing_but_the_settings_modules_reads_the_environment() -> None:
    readers = [
        path.relative_to(BASE_DIR).as_posix()
        for folder in ("app", "config")
        for path in (BASE_DIR / folder).rglob("*.py")
        if "os.environ" in path.read_text() or "os.getenv" in path.read_text()
    ]

    # celery.py and wsgi.py only name the settings module, as Django's own templates do.
    assert sorted(readers) == ["config/celery.py", "config/env.py", "config/wsgi.py"]
