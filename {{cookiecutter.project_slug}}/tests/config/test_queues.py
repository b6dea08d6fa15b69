"""The queue topology, and everything that must agree with it."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from config import queues
from config.celery import app
from config.management.commands.queues import markdown
from config.management.commands.worker import worker_arguments

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("pool", ["threads", "gevent", "eventlet", "solo"])
def test_pool_that_cannot_enforce_time_limits_is_refused(pool: str) -> None:
    with pytest.raises(ValueError, match=f"{pool}.*accepted: prefork"):
        replace(queues.by_name("io"), pool=pool)


@pytest.mark.parametrize(
    "wrong", [{"soft_time_limit": 300}, {"shutdown_grace": 300}, {"soft_time_limit": 0}]
)
def test_limits_that_contradict_each_other_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="queue io: expected 0 < soft_time_limit"):
        replace(queues.by_name("io"), **wrong)  # type: ignore[arg-type]  # ints only


def test_queue_that_does_not_drain_may_stop_sooner_than_its_longest_task() -> None:
    queue = replace(queues.by_name("io"), drain=False, shutdown_grace=10)

    assert queue.shutdown_grace < queue.time_limit


def test_dot_in_a_name_is_refused_because_routing_keys_have_their_own() -> None:
    with pytest.raises(ValueError, match="queue a.b: a dot"):
        replace(queues.by_name("io"), name="a.b")


@pytest.mark.parametrize(("cores", "processes"), [(1, 1), (4, 4), (64, 12), (None, 1)])
def test_one_process_per_core_is_at_least_one_and_not_too_many_for_the_memory(
    monkeypatch: pytest.MonkeyPatch, cores: int | None, processes: int
) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: cores)

    assert queues.by_name("cpu").processes() == processes
    assert queues.by_name("io").processes() == 8


def test_names_and_priorities_are_unique() -> None:
    names = {queue.name for queue in queues.QUEUES}
    priorities = {queue.priority for queue in queues.QUEUES}

    assert len(names) == len(priorities) == len(queues.QUEUES)


def test_celery_knows_exactly_the_queues_of_the_topology() -> None:
    assert set(app.amqp.queues) == {queue.name for queue in queues.QUEUES}


def test_each_queue_has_a_routing_key_of_its_own() -> None:
    # Queues that share one would all receive a copy of every message.
    assert {name: queue.routing_key for name, queue in app.amqp.queues.items()} == {
        queue.name: queue.name for queue in queues.QUEUES
    }


def test_task_goes_to_the_queue_that_its_decorator_names() -> None:
    class Task:
        queue = "slow"

    assert queues.route("app.tasks.any", (), {}, {}, task=Task) == {"queue": "slow"}
    assert queues.route("celery.backend_cleanup", (), {}, {}) == {
        "queue": "maintenance"
    }
    assert queues.route("unknown", (), {}, {}) is None


def test_every_task_is_routed_to_a_queue_of_the_topology() -> None:
    app.loader.import_default_modules()

    for name, task in app.tasks.items():
        options = {"queue": getattr(task, "queue", None)}
        routed = app.amqp.router.route(options, name)["queue"]
        assert routed.name in app.amqp.queues, name


def test_unknown_queue_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(CommandError, match="'warp'.*critical, fast, io"):
        call_command("worker", "warp")


def test_worker_takes_its_arguments_from_the_topology() -> None:
    arguments = " ".join(worker_arguments([queues.by_name("io")]))

    assert "--queues io --hostname io@%h --pool prefork --concurrency 8" in arguments


def test_documented_table_is_the_topology() -> None:
    documented = (ROOT / "docs" / "queues.md").read_text()

    assert markdown() in documented, "copy from `manage.py queues --format md`"
