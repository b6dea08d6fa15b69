"""What a worker does not know or cannot read: it waits for another, or a person sees it."""

import json
import os
import sys
from typing import Any

import pytest
from kombu.utils.json import loads

from config.celery import app
from ledger import refused
from ledger.models import TaskRun
from ledger.states import State
from tests.harness import processes
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import add, effect, fails_until, plain_unnoticed
from tests.harness.fixtures import StartWorker, WaitUntil
from tools.dev.broker import Broker
from tools.dev.process import Process

pytestmark = pytest.mark.chaos

# The service itself, without the tasks of the tests.
OLD_VERSION = "config.settings"


def all_ended() -> bool:
    return not TaskRun.objects.active().exists()


def test_tasks_that_old_workers_do_not_know_are_executed_by_new_ones(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    old = durable_worker(DJANGO_SETTINGS_MODULE=OLD_VERSION)
    keys = [f"durable {number}" for number in range(20)]
    for key in keys:
        effect.delay(key)
    plain_unnoticed.delay("plain")
    refused_runs = TaskRun.objects.filter(refused_since__isnull=False)
    wait_until(lambda: refused_runs.count() == 21)
    assert not Effect.objects.exists()

    durable_worker()
    wait_until(lambda: Effect.objects.count() > 10)
    old.ask_to_stop()

    wait_until(all_ended, timeout=90)
    wait_until(lambda: Effect.objects.count() == 21)
    assert sorted(Effect.objects.values_list("key", flat=True)) == [
        *sorted(keys),
        "plain",
    ]
    runs = TaskRun.objects.filter(name=effect.name)
    assert set(runs.values_list("state", "attempts")) == {(State.SUCCEEDED, 1)}


def test_task_that_no_worker_knows_is_a_dead_letter_after_a_while(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker(DJANGO_SETTINGS_MODULE=OLD_VERSION, LEDGER_UNKNOWN_TASK_SECONDS="2")
    result = add.delay(1, 2)

    wait_until(all_ended, timeout=30)

    run = TaskRun.objects.get(pk=result.id)
    assert (run.state, run.attempts, loads(run.args)) == (State.DEAD, 0, [1, 2])
    assert add.name in run.reason


def test_replays_from_two_processes_at_once_are_one_run_each(
    durable_worker: StartWorker, wait_until: WaitUntil, broker: Broker
) -> None:
    durable_worker()
    results = [fails_until.delay("mended", 1, f"tried {n}") for n in range(20)]
    wait_until(all_ended)
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.FAILED}
    Effect.objects.create(key="mended")

    settings = "tests.harness.durable_settings"
    environment = processes.environment(broker.url) | {
        "DJANGO_SETTINGS_MODULE": settings
    }
    command = [sys.executable, "manage.py", "runs", "replay", "--state", "failed"]
    both = [
        Process(
            f"replay {number}",
            command,
            cwd=processes.ROOT,
            env={**os.environ, **environment},
        )
        for number in range(2)
    ]
    wait_until(lambda: all(process.returncode == 0 for process in both), timeout=60)

    wait_until(lambda: all(result.state == "SUCCESS" for result in results))
    tried = Effect.objects.filter(key__startswith="tried")
    assert tried.count() == 2 * len(results)
    assert set(TaskRun.objects.values_list("attempts", flat=True)) == {2}


def test_unreadable_messages_are_dead_letters_and_their_worker_goes_on(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker = durable_worker()
    whole = json.dumps([[1, 2], {}, {}])
    named: dict[str, Any] = {"task": add.name, "id": "given"}
    publish("{not json", {**named, "id": "bad json"})
    publish(whole, {**named, "id": "bad type"}, content_type="application/x-odd")
    publish(whole, {**named, "id": "bad zip", "compression": "application/x-gzip"})
    publish("[1]", {**named, "id": "bad shape"})
    publish(whole, {**named, "id": "bad eta", "eta": "soon"})
    publish(whole, {"task": add.name}, correlation_id="no id")
    publish(whole, {}, correlation_id="no headers")

    wait_until(lambda: TaskRun.objects.count() == 7)

    runs = TaskRun.objects.order_by("pk")
    assert [run.pk for run in runs] == [
        *("bad eta", "bad json", "bad shape", "bad type", "bad zip"),
        *("no headers", "no id"),
    ]
    assert {(run.name, run.state) for run in runs} == {(refused.UNREADABLE, State.DEAD)}
    assert all(run.reason and loads(run.kwargs)["body"] for run in runs)
    assert effect.delay("after").get(timeout=20) == "after"
    assert worker.returncode is None


def publish(
    body: str,
    headers: dict[str, Any],
    content_type: str = "application/json",
    **properties: Any,
) -> None:
    """Put a message into the default queue, well-formed or not."""
    with app.producer_or_acquire() as producer:
        producer.publish(
            body,
            headers=headers,
            content_type=content_type,
            content_encoding="utf-8",
            exchange="tasks",
            routing_key="fast",
            declare=[app.amqp.queues["fast"]],
            **properties,
        )
