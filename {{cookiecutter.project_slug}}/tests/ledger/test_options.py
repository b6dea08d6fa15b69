"""What a call and a retry may say, and that it reaches the body."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.exceptions import MaxRetriesExceededError

from ledger.states import State
from tests.harness.effects.calls import retried_in_vain, retried_with, told
from tests.harness.inline import InlineWorker, run_of

pytestmark = pytest.mark.usefixtures("every_row_ends")


@pytest.mark.parametrize(
    ("options", "heard"),
    [
        ({"task_id": "chosen"}, {"id": "chosen"}),
        ({"shadow": "another name"}, {"shadow": "another name"}),
        ({"headers": {"tenant": "acme"}}, {"tenant": "acme"}),
        ({"time_limit": 20, "soft_time_limit": 10}, {"limits": [20, 10]}),
        ({"priority": 3}, {"priority": 3}),
        ({"queue": "io"}, {"queue": "io"}),
        ({"routing_key": "io"}, {"queue": "io"}),
        ({"expires": 60}, {"expires": True}),
        ({"serializer": "json"}, {"ignore_result": False}),
    ],
    ids=lambda value: next(iter(value)),
)
def test_option_reaches_the_body(
    worker: InlineWorker, options: dict[str, Any], heard: dict[str, Any]
) -> None:
    result = told.apply_async(**options)

    worker.drain()

    said = result.get(timeout=1)
    assert {name: said[name] for name in heard} == heard


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"countdown": 60}, [1, "fast", 30]),
        ({"eta": "in an hour"}, [1, "fast", 30]),
        ({"args": (5,)}, [5, "fast", 30]),
        ({"kwargs": {"value": 7}}, [7, "fast", 30]),
        ({"queue": "io"}, [1, "io", 30]),
        ({"time_limit": 28}, [1, "fast", 28]),
        ({"max_retries": 5}, [1, "fast", 30]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_retry_with_other_arguments_and_options(
    worker: InlineWorker, how: dict[str, Any], expected: list[Any]
) -> None:
    if "eta" in how:
        how = {"eta": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    result = retried_with.delay(1, how=how)

    worker.drain()

    assert result.get(timeout=1) == expected
    assert run_of(result).attempts == 2


def test_retry_that_expires_is_cancelled(worker: InlineWorker) -> None:
    result = retried_with.delay(1, how={"countdown": 60, "expires": -1})

    worker.drain()

    assert run_of(result).state == State.CANCELLED


def test_too_many_retries_raise_what_the_retry_was_for(worker: InlineWorker) -> None:
    named, unnamed = retried_in_vain.delay("out of luck"), retried_in_vain.delay()

    worker.drain()

    with pytest.raises(ValueError, match="out of luck"):
        named.get(timeout=1)
    with pytest.raises(MaxRetriesExceededError):
        unnamed.get(timeout=1)
