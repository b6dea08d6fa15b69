"""Results in Redis instead of the ledger: the rows end all the same."""

from collections.abc import Iterator

import pytest
from celery import chain, chord

from ledger.models import TaskRun
from ledger.states import State
from tests.harness.broker import publishing_to
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import (
    add,
    atomic_then_fail,
    fail,
    replaced_by,
    retried,
    total,
)
from tests.harness.fixtures import StartWorker, WaitUntil
from tools.dev.broker import Broker

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _redis_results(
    broker: Broker, broker_server: Broker, worker: StartWorker
) -> Iterator[None]:
    results = f"{broker_server.url}/1"
    with publishing_to(broker.url, results=results):
        worker(
            "fast",
            DJANGO_SETTINGS_MODULE="tests.harness.durable_settings",
            CELERY_RESULT_BACKEND=results,
            WORKER_CONCURRENCY="fast=2",
        )
        yield


def test_every_kind_of_end_is_in_redis_and_in_the_row(wait_until: WaitUntil) -> None:
    simple = add.delay(1, 2)
    chained = chain(add.s(1, 2), add.s(10))()
    joined = chord([add.s(1, 1), retried.s(1)], total.s())()
    replaced = replaced_by.delay(add.s(2, 2))
    failed = fail.delay("broken")
    undone = atomic_then_fail.delay("undone")

    assert simple.get(timeout=30) == 3
    assert chained.get(timeout=30) == 13
    assert joined.get(timeout=30) == 3
    assert replaced.get(timeout=30) == 4
    with pytest.raises(ValueError, match="broken"):
        failed.get(timeout=30)
    with pytest.raises(ValueError, match="undone"):
        undone.get(timeout=30)
    wait_until(lambda: not TaskRun.objects.active().exists())
    ended = TaskRun.objects.exclude(state=State.SUCCEEDED)
    assert sorted(ended.values_list("state", flat=True)) == [State.FAILED] * 2
    assert all("ValueError" in str(run.traceback) for run in ended)
    assert not Effect.objects.exists()
