"""Rate limits by what a task works on, such as one receiving host, over all workers.

They are kept in Redis by the `limits` library and taken inside the task. A limit of a task
as a whole is `rate_limit=` in its decorator, see `docs/priorities.md`.
"""

from functools import cache

from django.conf import settings
from limits import parse
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from app.services.errors import TransientError
from config.env import env


class RateLimited(TransientError):
    """The limit is used up; the retry policy's backoff spreads the later attempts."""


class RateLimitUnknown(TransientError):
    """Redis did not answer; more than the limit may not be sent, so nothing is."""


@cache
def _limiter() -> MovingWindowRateLimiter:
    # Without timeouts, a Redis that is silent would use up the time limit of the task.
    storage = storage_from_string(
        settings.RATE_LIMIT_STORAGE_URL,
        socket_timeout=env.REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=env.REDIS_TIMEOUT_SECONDS,
    )
    return MovingWindowRateLimiter(storage)


def take(rate: str, *scope: str) -> None:
    """Take one unit of a shared limit.

    Args:
        rate: such as `20/second`, in the notation of
            https://limits.readthedocs.io/en/stable/quickstart.html#rate-limit-string-notation
        scope: what the limit is counted by, such as `"webhook", "example.org"`.

    Raises:
        RateLimited: if the limit is used up at the moment.
        RateLimitUnknown: if Redis could not be asked.
    """
    try:
        taken = _limiter().hit(parse(rate), *scope)
    except RedisError as error:
        raise RateLimitUnknown(f"{type(error).__name__}: {error}") from error
    if not taken:
        raise RateLimited(f"more than {rate} for {' '.join(scope)}")
