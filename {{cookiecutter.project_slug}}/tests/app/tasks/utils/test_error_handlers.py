"""What tasks share when they fail."""

import pytest

from app.tasks.notification_tasks import deliver_webhook
from app.tasks.utils.error_handlers import is_last_attempt
from app.tasks.utils.retry_policies import NETWORK

LAST = NETWORK.max_retries


@pytest.mark.parametrize(
    ("retries", "last"), [(0, False), (LAST - 1, False), (LAST, True)]
)
def test_attempt_is_the_last_when_no_retry_is_left(
    monkeypatch: pytest.MonkeyPatch, retries: int, last: bool
) -> None:
    monkeypatch.setattr(deliver_webhook.request, "retries", retries)

    assert is_last_attempt(deliver_webhook) is last
