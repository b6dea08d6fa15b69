"""Rate limits."""

import socket
from threading import Timer

import pytest
from pytest import MonkeyPatch
from pytest_django import Settings

from app.services.errors import TransientError
from app.tasks.utils.rate_limiting import RateLimited, take
from config.env import env


def test_limit_holds_within_its_scope_only() -> None:
    take("2/hour", "webhook", "a.example")
    take("2/hour", "webhook", "a.example")
    take("2/hour", "webhook", "b.example")

    with pytest.raises(RateLimited, match="more than 2/hour for webhook a.example"):
        take("2/hour", "webhook", "a.example")


def test_redis_that_is_down_is_worth_another_attempt(settings: Settings) -> None:
    settings.RATE_LIMIT_STORAGE_URL = "redis://127.0.0.1:1"

    with pytest.raises(TransientError, match="ConnectionError"):
        take("2/hour", "webhook", "a.example")


def test_redis_that_is_silent_is_given_up_after_its_timeout(
    settings: Settings, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "REDIS_TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings.RATE_LIMIT_STORAGE_URL = f"redis://127.0.0.1:{port}"
        # Without a timeout the test would wait for ever, and now finds another error.
        hang_up = Timer(10, server.close)
        hang_up.start()

        with pytest.raises(TransientError, match="TimeoutError"):
            take("2/hour", "webhook", "a.example")

    hang_up.cancel()
