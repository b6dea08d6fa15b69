"""The broker loses everything, goes away, or says things twice."""

import time
from collections.abc import Iterator
from statistics import median

import pytest
from django.db import transaction
from kombu.utils.json import loads

from ledger import doorbell
from ledger.models import TaskRun
from tests.harness.broker import flush, publishing_to, waiting
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import atomic_effect, begin_then_work, effect
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.own_redis import OwnRedis, own_redis
from tools.dev.broker import Broker

pytestmark = pytest.mark.chaos


def all_ended() -> bool:
    return not TaskRun.objects.active().exists()


@pytest.fixture
def redis_server(durable_worker: StartWorker) -> Iterator[OwnRedis]:
    """A Redis that this test may stop; this process publishes to it."""
    with own_redis() as server, publishing_to(server.url):
        yield server


class Undo(Exception):
    """Rolls a transaction back."""


def test_flushall_with_hundreds_queued_loses_nothing(
    durable_worker: StartWorker, wait_until: WaitUntil, broker: Broker
) -> None:
    keys = [f"job {number}" for number in range(300)]
    for key in keys:
        atomic_effect.delay(key)
    durable_worker(WORKER_CONCURRENCY="fast=2")
    wait_until(lambda: Effect.objects.count() > 20)
    assert waiting(broker.url, "fast") > 100

    flush(broker.url)

    wait_until(all_ended, timeout=60)
    assert sorted(Effect.objects.values_list("key", flat=True)) == sorted(keys)


def test_broker_down_at_enqueue_costs_milliseconds_and_loses_nothing(
    redis_server: OwnRedis, durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    redis_server.kill()
    durations = []
    for number in range(100):
        started = time.perf_counter()
        with transaction.atomic():
            effect.delay(f"job {number}")
        durations.append(time.perf_counter() - started)
    assert median(durations) < 0.05, durations
    assert max(durations) < 2, durations
    assert TaskRun.objects.waiting().count() == 100

    redis_server.start()
    durable_worker(REDIS_URL=redis_server.url)

    wait_until(all_ended, timeout=40)
    assert Effect.objects.count() == 100


def test_rollback_leaves_nothing(
    broker: Broker, durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    with pytest.raises(Undo), transaction.atomic():
        effect.delay("never")
        raise Undo

    assert not TaskRun.objects.exists()
    assert waiting(broker.url, "fast") == 0


def test_crash_between_commit_and_publish_is_made_up_for(
    durable_worker: StartWorker,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as crashed:
        crashed.setattr(doorbell, "ring_on_commit", lambda calls: None)
        effect.delay("job")
    durable_worker()

    wait_until(all_ended, timeout=20)
    assert Effect.objects.count() == 1


def test_same_message_twenty_times_at_once_is_one_run(
    durable_worker: StartWorker, wait_until: WaitUntil, broker: Broker
) -> None:
    from ledger.call import Call

    results = [effect.delay(f"job {number}", 0.1) for number in range(5)]
    for result in results:
        run = TaskRun.objects.get(pk=result.id)
        call = Call(run.id, run.name, run.queue, loads(run.args), {})
        for _ in range(19):
            doorbell.ring(call)
    assert waiting(broker.url, "fast") == 100

    for _ in range(2):
        durable_worker(ready=False, WORKER_CONCURRENCY="fast=4")

    wait_until(all_ended, timeout=40)
    wait_until(lambda: waiting(broker.url, "fast") == 0)
    assert Effect.objects.count() == 5
    assert set(TaskRun.objects.values_list("attempts", flat=True)) == {1}


def test_redis_restarted_mid_task_loses_nothing(
    redis_server: OwnRedis, durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker(REDIS_URL=redis_server.url, WORKER_CONCURRENCY="fast=2")
    begin_then_work.delay("running", 4)
    wait_until(lambda: Effect.objects.filter(key="running begun").exists())
    for number in range(20):
        effect.delay(f"queued {number}")

    redis_server.kill()
    redis_server.start()
    # As a supervisor does: the main process may not survive the restart.
    durable_worker(REDIS_URL=redis_server.url, WORKER_CONCURRENCY="fast=2")

    wait_until(all_ended, timeout=60)
    assert Effect.objects.filter(key="running done").count() == 1
    assert Effect.objects.filter(key__startswith="queued").count() == 20


def test_countdown_beyond_the_visibility_timeout_runs_once(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    settings = "tests.harness.impatient_durable_settings"
    durable_worker(DJANGO_SETTINGS_MODULE=settings)
    durable_worker(DJANGO_SETTINGS_MODULE=settings)

    later = effect.apply_async(("later",), countdown=8)
    long = begin_then_work.delay("long", 8)

    assert later.get(timeout=40) == "later"
    assert long.get(timeout=40) == "long"
    assert Effect.objects.filter(key="later").count() == 1
    assert Effect.objects.filter(key="long begun").count() == 1
