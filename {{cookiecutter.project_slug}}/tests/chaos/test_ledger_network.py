"""The network between the service and its broker breaks, in every way that networks have."""

import time
from statistics import median

import pytest
from django.db import transaction

from config.env import env
from ledger.models import TaskRun
from tests.harness import impatient_settings
from tests.harness.broker import publishing_to, through, unfinished
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import begin_then_work, effect
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.proxy import Proxy
from tests.harness.runs import all_ended, effects, ended, run_of, seen
from tools.dev.broker import Broker

pytestmark = pytest.mark.chaos

# A worker asks its broker for messages every second.
SILENCE_SECONDS = 3


def test_connection_reset_mid_task_completes_it_once(
    durable_worker: StartWorker, proxy: Proxy, broker: Broker, wait_until: WaitUntil
) -> None:
    durable_worker(
        broker_url=through(proxy, broker.url),
        DJANGO_SETTINGS_MODULE=impatient_settings.__name__,
    )
    result = begin_then_work.delay("job", 4)
    wait_until(seen("job begun"))

    assert proxy.reset() > 0

    wait_until(ended(result))
    effect.delay("another")
    wait_until(all_ended)
    # The message that it could not acknowledge comes back, and finds nothing to claim.
    wait_until(lambda: unfinished(broker.url, "fast") == 0)
    assert (effects("job begun"), effects("job done")) == (1, 1)
    assert run_of(result).attempts == 1


def test_black_hole_costs_a_caller_seconds_once_and_loses_nothing(
    durable_worker: StartWorker, proxy: Proxy, broker: Broker, wait_until: WaitUntil
) -> None:
    durable_worker(WORKER_CONCURRENCY="fast=2")
    durations = []
    with publishing_to(through(proxy, broker.url)):
        effect.delay("before")
        proxy.black_hole()
        for number in range(100):
            started = time.perf_counter()
            with transaction.atomic():
                effect.delay(f"job {number}")
            durations.append(time.perf_counter() - started)
            assert sum(durations) < 6 * env.REDIS_TIMEOUT_SECONDS, durations

        # The workers still reach the broker: they ring for what the caller could not.
        wait_until(all_ended, timeout=40)

    assert median(durations) < 0.05, durations
    assert max(durations) < 2 * env.REDIS_TIMEOUT_SECONDS, durations
    assert TaskRun.objects.count() == Effect.objects.count() == 101


def test_worker_cut_off_mid_task_completes_it_once_and_comes_back(
    durable_worker: StartWorker, proxy: Proxy, broker: Broker, wait_until: WaitUntil
) -> None:
    worker = durable_worker(
        broker_url=through(proxy, broker.url), WORKER_CONCURRENCY="fast=2"
    )
    result = begin_then_work.delay("job", 2)
    wait_until(seen("job begun"))

    proxy.black_hole()
    wait_until(ended(result))
    for number in range(20):
        effect.delay(f"queued {number}")
    proxy.heal()

    wait_until(all_ended, timeout=60)
    assert run_of(result).attempts == 1
    assert Effect.objects.filter(key__startswith="queued").count() == 20
    assert worker.returncode is None


def test_worker_whose_connections_stay_silent_makes_new_ones(
    durable_worker: StartWorker, proxy: Proxy, broker: Broker, wait_until: WaitUntil
) -> None:
    worker = durable_worker(broker_url=through(proxy, broker.url))
    effect.delay("before")
    wait_until(all_ended)

    proxy.black_hole()
    time.sleep(SILENCE_SECONDS)  # something must get lost, and nothing tells when
    proxy.heal(reset=False)
    effect.delay("after")

    wait_until(all_ended, timeout=90)
    assert (effects("after"), worker.returncode) == (1, None)


def test_slow_network_changes_nothing_but_the_time(
    durable_worker: StartWorker, proxy: Proxy, broker: Broker, wait_until: WaitUntil
) -> None:
    durable_worker(broker_url=through(proxy, broker.url), WORKER_CONCURRENCY="fast=2")
    proxy.delay(0.2)

    for number in range(10):
        effect.delay(f"job {number}")

    wait_until(all_ended)
    assert Effect.objects.count() == 10
    assert set(TaskRun.objects.values_list("attempts", flat=True)) == {1}
