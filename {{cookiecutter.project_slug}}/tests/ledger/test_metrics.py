"""What Prometheus reads of the ledger."""

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from config.env import BASE_DIR, env
from config.queues import QUEUES
from ledger import doorbell, lease, tally, workers
from ledger.gauges import beat as beat_state
from ledger.metrics import LedgerCollector
from ledger.models import LiveWorker, TaskRun
from ledger.states import State
from tests.harness.effects.tasks import echo
from tests.harness.inline import InlineWorker
from tests.ledger.entries import EVERY, entry

ECHO = {"task": echo.name, "queue": "fast"}

Value = Callable[..., float | None]


@pytest.fixture
def value(monkeypatch: pytest.MonkeyPatch) -> Iterator[Value]:
    """Read one figure, all others being read with it: `value("queue_runs", queue="io")`."""
    monkeypatch.setattr(tally, "MARGIN_SECONDS", 0)
    registry = CollectorRegistry()
    registry.register(LedgerCollector())

    def read(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    read("database_up")
    yield read


def test_counters_exist_before_anything_happens_so_that_the_first_event_is_an_increase(
    value: Value,
) -> None:
    assert value("task_dead_total", **ECHO) == 0
    assert value("task_waiting_seconds_count", **ECHO) == 0


def test_run_counts_by_task_and_queue(value: Value, worker: InlineWorker) -> None:
    echo.delay(1)
    assert value("queue_runs", queue="fast", state="queued") == 1

    worker.drain()

    assert value("task_succeeded_total", **ECHO) == 1
    assert value("task_running_seconds_count", **ECHO) == 1
    assert value("queue_runs", queue="fast", state="queued") == 0


def test_names_that_the_code_does_not_know_share_one_label(value: Value) -> None:
    for number in range(50):
        TaskRun.objects.create(
            id=str(number), name=f"no.{number}", queue=f"q{number}", state="queued"
        )

    assert value("task_enqueued_total", task="other", queue="other") == 50
    assert value("queue_runs", queue="other", state="queued") == 50


def test_age_of_the_oldest_due_run_leaves_out_what_waits_for_its_time(
    value: Value,
) -> None:
    hour = timedelta(hours=1)
    TaskRun.objects.create(
        id="late", queue="io", state=State.QUEUED, run_at=timezone.now() - hour
    )
    TaskRun.objects.create(
        id="early", queue="cpu", state=State.PENDING, run_at=timezone.now() + hour
    )

    oldest = value("queue_oldest_due_seconds", queue="io")
    assert oldest == pytest.approx(3600, abs=5)
    assert value("queue_oldest_due_seconds", queue="cpu") == 0
    assert value("ledger_outbox_seconds") == 0


def test_outbox_is_as_late_as_what_is_due_and_not_rung(value: Value) -> None:
    minute = timedelta(minutes=1)
    TaskRun.objects.create(
        id="due", queue="io", state=State.PENDING, run_at=timezone.now() - minute
    )

    assert value("ledger_outbox_seconds") == pytest.approx(60, abs=5)


def test_leases_and_lapsed_ones_are_told_apart(value: Value) -> None:
    now = timezone.now()
    for id, seconds in (("held", 30), ("lapsed", -30)):
        TaskRun.objects.create(
            id=id, state=State.RUNNING, lease_until=now + timedelta(seconds=seconds)
        )

    assert (value("ledger_leases"), value("ledger_lapsed_leases")) == (2, 1)


def test_beat_is_as_late_as_its_latest_tick(value: Value) -> None:
    assert value("beat_entries") == 0
    entry(missed=2)

    late = value("beat_lag_seconds")
    assert late == pytest.approx(EVERY.total_seconds() + 5, abs=5)
    assert value("beat_entries") == 1


def test_entry_that_can_never_run_makes_no_other_late() -> None:
    entry(name="broken", missed=9)
    PeriodicTask.objects.update(interval=None)
    entry(name="fine", missed=0, last_run_at=timezone.now())

    assert beat_state().lag_seconds < EVERY.total_seconds()


def test_messages_are_counted_in_the_broker(value: Value) -> None:
    echo.delay(1)
    assert value("queue_messages", queue="fast") == 1
    assert value("broker_up") == 1


def test_broker_that_is_down_is_said_to_be(
    value: Value, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(queue: str) -> int:
        raise doorbell.BrokerDown(queue)

    monkeypatch.setattr(doorbell, "messages_in", refuse)

    assert value("broker_up") == 0
    assert value("queue_messages", queue="fast") is None
    assert value("database_up") == 1


def test_database_that_is_down_is_said_to_be_and_counters_stay(
    value: Value, worker: InlineWorker
) -> None:
    echo.delay(1)
    worker.drain()
    assert value("task_succeeded_total", **ECHO) == 1

    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ledger_taskrun RENAME TO gone")
    try:
        assert value("database_up") == 0
        assert value("task_succeeded_total", **ECHO) == 1
        assert value("queue_runs", queue="fast", state="queued") is None
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE gone RENAME TO ledger_taskrun")


def test_worker_that_was_silent_for_some_beats_is_gone(value: Value) -> None:
    silent = timedelta(seconds=workers.MISSED_BEATS * env.LEDGER_HEARTBEAT_SECONDS + 1)
    for name, seen in (("io@here:1:a", timedelta()), ("fast@gone:2:b", silent)):
        LiveWorker.objects.create(
            name=name,
            queues=name.partition("@")[0],
            processes=8,
            busy=3,
            memory_bytes=10**9,
            seen_at=timezone.now() - seen,
        )

    assert value("worker_memory_bytes", worker="io@here", queues="io") == 10**9
    assert value("worker_busy", worker="io@here", queues="io") == 3
    assert value("worker_processes", worker="fast@gone", queues="fast") is None
    serving = [value("queue_workers", queue=queue.name) for queue in QUEUES]
    assert sum(count or 0 for count in serving) == 1


def test_worker_that_was_started_again_counts_once(value: Value) -> None:
    for name, processes in (("io@here:1:a", 8), ("io@here:2:b", 4)):
        LiveWorker.objects.create(
            name=name, queues="io", processes=processes, busy=0, memory_bytes=None
        )

    assert value("queue_workers", queue="io") == 1
    assert value("worker_processes", worker="io@here", queues="io") == 4


def test_worker_that_ends_takes_its_row_and_those_of_the_long_dead_with_it() -> None:
    past = timezone.now() - timedelta(seconds=env.LEDGER_KEEP_SECONDS + 60)
    for name, seen in (
        (lease.Worker.name, timezone.now()),
        ("dead", past),
        ("alive", timezone.now()),
    ):
        LiveWorker.objects.create(
            name=name, queues="io", processes=1, busy=0, seen_at=seen
        )

    workers.leave()

    assert [row.name for row in LiveWorker.objects.all()] == ["alive"]


def test_memory_is_that_of_all_processes_that_exist() -> None:
    own = workers.memory_of([os.getpid()])

    assert own is None or own > 10_000_000
    assert workers.memory_of([2**22 + 1]) is None


def test_metrics_can_be_printed_once() -> None:
    printed = StringIO()

    call_command("metrics", "--once", stdout=printed)

    families = {
        family.name for family in text_string_to_metric_families(printed.getvalue())
    }
    assert {"database_up", "task_dead", "queue_runs", "beat_lag_seconds"} <= families


def test_page_explains_every_metric() -> None:
    page = (BASE_DIR / "docs" / "observability.md").read_text()

    for family in LedgerCollector().collect():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert f"`{name}`" in page
