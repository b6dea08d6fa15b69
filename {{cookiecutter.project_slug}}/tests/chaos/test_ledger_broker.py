"""The broker loses everything, goes away, or says things twice."""

import time
from statistics import median

import pytest
from django.db import transaction

from ledger.models import TaskRun
from ledger.states import State
from tests.harness import impatient_settings
from tests.harness.broker import (
    delete_queue,
    flush,
    publishing_to,
    repeat,
    taking_back_after,
    unfinished,
    waiting,
)
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import atomic_effect, begin_then_work, effect
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.own_broker import OwnBroker
from tests.harness.own_redis import own_redis
from tests.harness.runs import all_ended, effects, holder_of, seen
from tests.settings import ON_RABBITMQ
from tools.dev.broker import Broker

pytestmark = pytest.mark.chaos

# About every third one is not noticed by those who consume from the queue.
QUEUE_DELETIONS = 3


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

    wait_until(all_ended, timeout=120)
    assert sorted(Effect.objects.values_list("key", flat=True)) == sorted(keys)


@pytest.mark.skipif(not ON_RABBITMQ, reason="of Redis, a queue is its messages")
def test_queue_deleted_under_a_worker_is_consumed_again(
    durable_worker: StartWorker, wait_until: WaitUntil, broker: Broker
) -> None:
    running = durable_worker(WORKER_CONCURRENCY="fast=2")
    for round in range(QUEUE_DELETIONS):
        for number in range(50):
            atomic_effect.delay(f"job {round}-{number}", 0.02)
        wait_until(lambda: Effect.objects.count() > 50 * round + 20)

        delete_queue(broker.url, "fast")

        wait_until(all_ended, timeout=60)
        assert Effect.objects.count() == 50 * round + 50
    assert running.returncode is None


def test_broker_down_at_enqueue_costs_milliseconds_and_loses_nothing(
    own: OwnBroker, durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    own.kill()
    durations = []
    for number in range(100):
        started = time.perf_counter()
        with transaction.atomic():
            effect.delay(f"job {number}")
        durations.append(time.perf_counter() - started)
    assert median(durations) < 0.05, durations
    assert max(durations) < 2, durations
    assert TaskRun.objects.filter(state=State.PENDING).count() == 100

    own.start()
    durable_worker(broker_url=own.url)

    wait_until(all_ended, timeout=40)
    assert Effect.objects.count() == 100


def test_same_message_twenty_times_at_once_is_one_run(
    durable_worker: StartWorker, wait_until: WaitUntil, broker: Broker
) -> None:
    for number in range(5):
        effect.delay(f"job {number}", 0.1)
    repeat(broker.url, "fast", times=19)
    assert waiting(broker.url, "fast") == 100

    for _ in range(2):
        durable_worker(ready=False, WORKER_CONCURRENCY="fast=4")

    wait_until(all_ended, timeout=40)
    wait_until(lambda: waiting(broker.url, "fast") == 0)
    assert Effect.objects.count() == 5
    assert set(TaskRun.objects.values_list("attempts", flat=True)) == {1}


def test_backlog_is_not_taken_for_lost(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker(WORKER_CONCURRENCY="fast=1", LEDGER_LOST_SECONDS="3")

    for number in range(60):
        effect.delay(f"job {number}", 0.1)

    wait_until(all_ended, timeout=60)
    assert set(TaskRun.objects.values_list("attempts", flat=True)) == {1}
    # The queue is empty while the worker has taken the last message and not yet claimed it.
    assert TaskRun.objects.filter(rings__gt=0).count() <= 1


def test_broker_restarted_mid_task_loses_nothing(
    own: OwnBroker, durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker = durable_worker(broker_url=own.url, WORKER_CONCURRENCY="fast=2")
    begin_then_work.delay("running", 4)
    wait_until(lambda: Effect.objects.filter(key="running begun").exists())
    for number in range(20):
        effect.delay(f"queued {number}")

    own.kill()
    own.start()

    wait_until(all_ended, timeout=60)
    assert worker.returncode is None
    assert Effect.objects.filter(key="running done").count() == 1
    assert Effect.objects.filter(key__startswith="queued").count() == 20


@pytest.mark.skipif(ON_RABBITMQ, reason="RabbitMQ has one connection for everything")
def test_redis_that_dies_connection_by_connection_does_not_end_a_busy_worker(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    with own_redis() as server, publishing_to(server.url):
        worker = durable_worker(broker_url=server.url)
        begin_then_work.delay("running", 4)
        wait_until(seen("running begun"))

        server.hang()
        worker.wait_for_line("Trying to re-establish", 30)
        server.kill()
        worker.wait_for_line("Trying again in", 30)
        server.start()
        effect.delay("after")

        wait_until(all_ended)
    assert (effects("running done"), effects("after")) == (1, 1)
    assert worker.returncode is None


def test_countdown_beyond_the_visibility_timeout_runs_once(
    durable_worker: StartWorker, wait_until: WaitUntil, broker: Broker
) -> None:
    settings = impatient_settings.__name__
    seconds = 2 * impatient_settings.VISIBILITY_TIMEOUT_SECONDS
    with taking_back_after(broker.url, impatient_settings.VISIBILITY_TIMEOUT_SECONDS):
        workers = [durable_worker(DJANGO_SETTINGS_MODULE=settings) for _ in range(2)]

        later = effect.apply_async(("later",), countdown=seconds)
        long = begin_then_work.delay("long", seconds)
        wait_until(seen("long begun"))
        holder = holder_of(long, workers)

        assert later.get(timeout=40) == "later"
        assert long.get(timeout=40) == "long"
    wait_until(lambda: unfinished(broker.url, "fast") == 0)
    assert (effects("later"), effects("long begun")) == (1, 1)
    # The worker whose message was taken back goes on.
    workers.remove(holder)
    workers[0].kill()
    effect.delay("after")
    wait_until(seen("after"))
