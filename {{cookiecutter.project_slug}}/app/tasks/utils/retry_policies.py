"""Named retry policies: which errors are worth another attempt, and how many.

The delays are the same for all and stand in every decorator: exponential from 1 s, at most
600 s, with full jitter, so that a service that recovers is not stampeded.
https://docs.celeryq.dev/en/stable/userguide/tasks.html#automatic-retry-for-known-exceptions
"""

from dataclasses import dataclass

from django.db import OperationalError

from app.services.errors import TransientError


@dataclass(frozen=True)
class RetryPolicy:
    """What to retry, and how often.

    Attributes:
        errors: exception types that are retried; all others fail at once.
        max_retries: attempts after the first one.
    """

    errors: tuple[type[Exception], ...]
    max_retries: int


# Another service is down: 37 minutes of patience at most, half of that with average luck.
NETWORK = RetryPolicy(errors=(TransientError, OperationalError), max_retries=12)

# The database restarts or a lock times out: half a minute at most.
DATABASE = RetryPolicy(errors=(OperationalError,), max_retries=5)
