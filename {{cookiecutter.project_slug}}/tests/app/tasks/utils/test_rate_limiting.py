"""Rate limits."""

import pytest

from app.tasks.utils.rate_limiting import RateLimited, take


def test_limit_holds_within_its_scope_only() -> None:
    take("2/hour", "webhook", "a.example")
    take("2/hour", "webhook", "a.example")
    take("2/hour", "webhook", "b.example")

    with pytest.raises(RateLimited, match="more than 2/hour for webhook a.example"):
        take("2/hour", "webhook", "a.example")
