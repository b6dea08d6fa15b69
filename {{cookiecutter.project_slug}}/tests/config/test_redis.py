"""Addresses of the Redis databases."""

import pytest

from config.env import load
from config.redis import redis_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache:6379", "redis://cache:6379/1"),
        ("redis://:p%2Fw%401@cache:6379/0", "redis://:p%2Fw%401@cache:6379/1"),
        (
            "rediss://cache:6380/?ssl_cert_reqs=required",
            "rediss://cache:6380/1?ssl_cert_reqs=required",
        ),
    ],
)
def test_address_has_the_database_and_keeps_the_rest(
    monkeypatch: pytest.MonkeyPatch, url: str, expected: str
) -> None:
    monkeypatch.setenv("REDIS_URL", url)

    assert redis_url(load(), database=1) == expected
