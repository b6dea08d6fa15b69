"""Addresses of the Redis databases."""

import pytest

from config.env import load
from config.redis import redis_url


@pytest.mark.parametrize(
    ("url", "password", "expected"),
    [
        ("redis://cache:6379", "", "redis://cache:6379/1"),
        ("redis://cache:6379", "p/w@1", "redis://:p%2Fw%401@cache:6379/1"),
        ("redis://:own@cache:6379", "other", "redis://:own@cache:6379/1"),
        (
            "rediss://cache:6380/?ssl_cert_reqs=required",
            "",
            "rediss://cache:6380/1?ssl_cert_reqs=required",
        ),
    ],
)
def test_address_has_the_database_and_the_password(
    monkeypatch: pytest.MonkeyPatch, url: str, password: str, expected: str
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("REDIS_PASSWORD", password)

    assert redis_url(load(), database=1) == expected
