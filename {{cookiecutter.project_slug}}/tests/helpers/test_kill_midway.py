"""What `kill_midway` says of a task that it cannot kill; `tests/chaos` kills for real."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from app.tasks.notification_tasks import deliver_webhook
from tests.factories.notification import WebhookDeliveryFactory
from tests.harness.inline import InlineWorker
from tests.harness.receivers import Receiver
from tests.helpers.kill_midway import KillMidway


def test_task_that_ended_before_it_could_be_killed_is_an_error(
    inline_worker: InlineWorker, receiver: Receiver
) -> None:
    def wait_until(condition: Callable[[], object], timeout: float = 30) -> None:
        inline_worker.drain()
        assert condition()

    start_worker: Any = Mock()
    delivery = WebhookDeliveryFactory.create(url=receiver.url)

    with pytest.raises(AssertionError, match="succeeded before its worker"):
        KillMidway(start_worker, wait_until)(
            deliver_webhook, delivery.pk, when=lambda: False
        )
