"""What the ledger does on the clock."""

from collections.abc import Iterator

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from ledger import prune as pruning
from ledger.states import State
from ledger.tasks import prune
from tests.harness.inline import InlineWorker, run_of
from tests.ledger.test_prune import left, long_ago, make


def test_prune_runs_on_the_maintenance_queue_and_returns_how_many(
    worker: InlineWorker,
) -> None:
    make(State.SUCCEEDED, long_ago())

    result = prune.delay()

    assert run_of(result).queue == "maintenance"
    worker.drain()
    assert result.get(timeout=1) == 1
    assert left() == [result.id]


def test_prune_that_runs_out_of_time_keeps_what_it_has_done(
    worker: InlineWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow() -> Iterator[int]:
        yield 500
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(pruning, "prune", slow)

    result = prune.delay()
    worker.drain()

    assert result.get(timeout=1) == 500
