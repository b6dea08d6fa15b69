"""How long a stopping worker may take."""

import pytest

from config import queues
from config.env import env
from ledger import shutdown


def test_worker_of_several_queues_has_the_longest_of_their_graces() -> None:
    longest = max(queue.shutdown_grace for queue in queues.QUEUES)

    assert shutdown.grace_seconds() == longest


def test_grace_of_a_deployment_comes_before_that_of_the_topology(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = {queue.name: 30 for queue in queues.QUEUES}
    monkeypatch.setattr(env, "WORKER_SHUTDOWN_GRACE", short)

    assert shutdown.grace_seconds() == 30
