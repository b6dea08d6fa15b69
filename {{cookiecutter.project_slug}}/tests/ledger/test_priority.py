"""What starts first, and that everything is started in the end."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config import queues
from config.celery import app
from config.env import env
from ledger import lanes, relay, sql
from ledger.lanes import LARGEST_WINDOW, SMALLEST_WINDOW, Window
from ledger.models import TaskRun
from ledger.replay import replay
from ledger.states import State
from tests.harness.effects.tasks import add, fail, limited, retried, spawn, unhurried
from tests.harness.inline import InlineWorker, run_of


@pytest.fixture(autouse=True)
def _new_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_windows", {})


def enqueue(priority: int, *, waited: float = 0) -> str:
    """Enqueue a run that has been waiting for some seconds."""
    result = add.apply_async((priority, 0), priority=priority)
    sql.execute(
        f"UPDATE ledger_taskrun SET run_at = {sql.from_now()} WHERE id = %s",
        [-waited, result.id],
    )
    return result.id


def queued() -> int:
    return TaskRun.objects.filter(state=State.QUEUED).count()


def priorities(worker: InlineWorker) -> list[int]:
    """Return the priorities of what was executed, in this order."""
    runs = TaskRun.objects.in_bulk(worker.executed)
    return [runs[id].priority for id in worker.executed]


@pytest.mark.parametrize("priority", [0, 5])
def test_enqueueing_costs_one_statement_whatever_the_priority(priority: int) -> None:
    with CaptureQueriesContext(connection) as queries:
        add.apply_async((1, 2), priority=priority)

    assert len(queries) == 1


def test_run_of_low_priority_is_rung_at_once_if_nobody_waits() -> None:
    assert run_of(add.apply_async((1, 2), priority=9)).state == State.QUEUED


def test_run_of_low_priority_waits_in_the_table_while_others_are_queued() -> None:
    add.delay(1, 2)

    assert run_of(add.apply_async((1, 2), priority=1)).state == State.PENDING


def test_run_of_low_priority_does_not_overtake_one_that_waits() -> None:
    group(add.s(n, 0).set(priority=5) for n in range(2))()

    assert run_of(add.apply_async((1, 2), priority=5)).state == State.PENDING


def test_backlog_of_low_priority_is_let_go_a_few_at_a_time() -> None:
    group(add.s(n, 0).set(priority=5) for n in range(50))()
    assert queued() == 0

    for _ in range(3):
        relay.step()

    assert queued() == SMALLEST_WINDOW


def test_urgent_run_overtakes_a_backlog(worker: InlineWorker) -> None:
    group(add.s(n, 0).set(priority=5) for n in range(50))()
    relay.step()

    urgent = add.delay(1, 2)

    worker.drain()
    assert worker.executed.index(urgent.id) == SMALLEST_WINDOW
    assert len(worker.executed) == 51


def test_waiting_runs_start_in_the_order_of_their_priority(
    worker: InlineWorker,
) -> None:
    add.delay(0, 0)
    for priority in (9, 1, 5, 3, 7, 2):
        enqueue(priority)

    worker.drain(now=False)

    assert priorities(worker) == [0, 1, 2, 3, 5, 7, 9]


def test_run_that_waited_long_precedes_a_more_urgent_one(worker: InlineWorker) -> None:
    add.delay(0, 0)
    enqueue(5)
    enqueue(9, waited=5 * env.LEDGER_AGEING_SECONDS)

    worker.drain(now=False)

    assert priorities(worker) == [0, 9, 5]


def test_run_that_has_aged_is_rung_however_long_the_queue_is() -> None:
    for number in range(50):
        add.delay(number, 0)
    fresh = enqueue(9, waited=8.9 * env.LEDGER_AGEING_SECONDS)
    aged = enqueue(9, waited=9.1 * env.LEDGER_AGEING_SECONDS)

    relay.step()

    states = dict(TaskRun.objects.values_list("id", "state"))
    assert (states[fresh], states[aged]) == (State.PENDING, State.QUEUED)


def test_backlog_of_one_queue_does_not_hold_up_another() -> None:
    for number in range(50):
        add.delay(number, 0)
    group(add.s(n, 0).set(priority=5, queue="io") for n in range(2))()

    relay.step()

    assert TaskRun.objects.filter(queue="io", state=State.QUEUED).count() == 2


def test_countdown_of_low_priority_is_not_let_go_before_its_time(
    worker: InlineWorker,
) -> None:
    result = add.apply_async((1, 2), priority=5, countdown=60)

    worker.drain(now=False)
    assert (run_of(result).state, worker.executed) == (State.PENDING, [])

    worker.drain(now=True)
    assert result.get(timeout=1) == 3


def test_broker_is_told_no_priority_so_that_it_cannot_change_the_order(
    worker: InlineWorker,
) -> None:
    add.apply_async((1, 2), priority=9)

    with app.connection_for_write() as broker:
        [message] = worker.messages(broker)

    assert message.properties["priority"] == 0


def test_retry_keeps_the_priority(worker: InlineWorker) -> None:
    result = retried.apply_async((2,), priority=5)

    worker.drain()

    assert result.get(timeout=1) == 2
    assert run_of(result).priority == 5


def test_replay_waits_for_its_turn_again(worker: InlineWorker) -> None:
    result = fail.apply_async(priority=5)
    worker.drain()

    replay(run_of(result))

    assert run_of(result).state == State.PENDING
    relay.step()
    assert run_of(result).state == State.QUEUED


def test_children_inherit_the_priority_if_so_configured(
    worker: InlineWorker, app_setting: Callable[[str, object], None]
) -> None:
    app_setting("task_inherit_parent_priority", True)
    spawn.apply_async((3,), priority=4)

    worker.drain()

    assert priorities(worker) == [4, 4, 4, 4]


def test_priority_of_the_decorator_holds_unless_the_call_names_another() -> None:
    named = run_of(unhurried.apply_async(priority=2))

    assert (run_of(unhurried.delay()).priority, named.priority) == (6, 2)
    assert queues.route("x", (), {}, {}, unhurried) == {"queue": "fast", "priority": 6}


@pytest.mark.parametrize("priority", [-1, 10])
def test_priority_that_does_not_exist_is_the_callers_error(priority: int) -> None:
    with pytest.raises(ValueError, match="0 .most urgent. to 9"):
        add.apply_async((1, 2), priority=priority)


def test_window_grows_while_workers_empty_it_and_others_wait() -> None:
    window = Window()

    window.was_full = True
    window.adapt(0)
    window.adapt(0)
    assert window.size == 4 * SMALLEST_WINDOW

    for _ in range(10):
        window.adapt(0)
    assert window.size == LARGEST_WINDOW


def test_relay_that_filled_an_empty_window_looks_again_soon() -> None:
    group(add.s(n, 0).set(priority=5) for n in range(50))()
    relay.step()
    assert lanes.pause(5) < relay.POLL_SECONDS

    relay.step()  # nothing was started since

    assert lanes.pause(5) == 5


def test_window_shrinks_when_workers_are_slow_or_nobody_waits() -> None:
    slow, idle = Window(), Window()
    slow.size = idle.size = LARGEST_WINDOW
    slow.was_full = True

    slow.adapt(LARGEST_WINDOW)
    idle.adapt(0)

    assert slow.size == idle.size == LARGEST_WINDOW // 2


def test_looks_at_lanes_read_indexes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    group(add.s(n, 0).set(priority=n) for n in range(1, 10))()
    group(limited.s(str(n)) for n in range(3))()
    executed: list[tuple[str, Any]] = []
    fetch = sql.fetch

    def recorded(statement: str, parameters: Any = ()) -> Any:
        executed.append((statement, parameters))
        return fetch(statement, parameters)

    monkeypatch.setattr(sql, "fetch", recorded)
    for lane in lanes.occupied():
        lanes.next_of(lane)
    relay._look()
    monkeypatch.undo()

    if connection.vendor == "postgresql":
        sql.execute("SET enable_seqscan = off")  # which it prefers in a small table
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    plans = [str(fetch(explain + statement, given)) for statement, given in executed]
    if connection.vendor == "postgresql":
        sql.execute("SET enable_seqscan = on")
    assert sum("run_lane" in plan for plan in plans) == 4
    for plan in plans:
        assert "Seq Scan on ledger" not in plan
        assert "Filter: (run" not in plan  # a bound of the index, not read row by row
        assert "SCAN ledger_taskrun'" not in plan
