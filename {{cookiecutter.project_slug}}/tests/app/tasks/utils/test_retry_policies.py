"""Named retry policies."""

import pytest
from celery.utils.time import get_exponential_backoff_interval

from app.tasks.utils.retry_policies import DATABASE, NETWORK, RetryPolicy


@pytest.mark.parametrize(
    ("policy", "minutes"), [(NETWORK, 37), (DATABASE, 0.5)], ids=["network", "database"]
)
def test_patience_is_what_the_comment_says(policy: RetryPolicy, minutes: float) -> None:
    longest_delays = [
        get_exponential_backoff_interval(factor=1, retries=retry, maximum=600)
        for retry in range(policy.max_retries)
    ]

    assert sum(longest_delays) / 60 == pytest.approx(minutes, abs=0.5)
