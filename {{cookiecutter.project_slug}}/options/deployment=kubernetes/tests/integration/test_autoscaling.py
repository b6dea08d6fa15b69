"""What KEDA asks the ledger, of a real PostgreSQL with real rows."""

from collections.abc import Iterator

import pytest
from celery import group
from django.db import connection
from django.utils import timezone

from ledger import sql
from ledger.claim import Claim
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.tasks import add, echo, limited
from tests.harness.inline import InlineWorker
from tests.harness.own_postgres import OwnPostgres, database_of, own_postgres
from tools.kubernetes import queries

pytestmark = pytest.mark.integration

# The queue of these tasks; there is nothing to do in the other one.
QUEUE, OTHER = "fast", "io"

MANY = 1_000


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    with own_postgres() as running:
        yield running


@pytest.fixture(autouse=True)
def postgres(server: OwnPostgres, inline_worker: InlineWorker) -> Iterator[None]:
    """The ledger is empty, and in a PostgreSQL."""
    with database_of(server):
        sql.execute("TRUNCATE ledger_taskrun, ledger_ratelimit")
        yield


def ask(query: str) -> float:
    """Ask as KEDA does: it reads one number."""
    [[number]] = sql.fetch(query)
    return float(number)


def length(queue: str = QUEUE, limit: int = MANY) -> float:
    return ask(queries.length(queue, limit))


def age(queue: str = QUEUE) -> float:
    return ask(queries.age(queue))


def wait(seconds: float) -> None:
    """Make all runs so much older."""
    for clock in ("run_at", "rung_at"):
        earlier = sql.plus(clock, str(-seconds))
        sql.execute(f"UPDATE ledger_taskrun SET {clock} = {earlier}")


def test_queue_without_runs_needs_no_worker() -> None:
    assert (length(), age()) == (0, 0)


def test_run_counts_until_it_has_ended() -> None:
    claimed, waiting = echo.delay(1).id, echo.delay(2).id
    claim = Claim.take(claimed, "a worker")
    assert claim and length() == 2

    claim.finish(State.SUCCEEDED, result="1")

    assert length() == 1
    assert TaskRun.objects.get(pk=waiting).state == State.QUEUED
    assert (length(OTHER), age(OTHER)) == (0, 0)


def test_run_that_waits_in_its_lane_counts_as_one_that_was_rung() -> None:
    group(add.s(n, 0).set(priority=5) for n in range(7))()
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.PENDING}
    wait(60)

    assert length() == 7
    assert age() == pytest.approx(60, abs=10)


def test_run_that_the_broker_never_got_counts() -> None:
    echo.delay(1)
    TaskRun.objects.update(state=State.PENDING)  # as if the broker had been down
    wait(60)

    assert length() == 1
    assert age() == pytest.approx(60, abs=10)


def test_run_that_was_rung_ages_until_a_worker_takes_it() -> None:
    id = echo.delay(1).id
    wait(60)
    assert age() == pytest.approx(60, abs=10)

    assert Claim.take(id, "a worker")

    assert age() == 0


def test_the_oldest_of_all_decides() -> None:
    echo.delay(1)
    wait(30)
    group(add.s(n, 0).set(priority=n) for n in (3, 9))()
    wait(30)
    echo.delay(1)

    assert age() == pytest.approx(60, abs=10)


def test_run_whose_time_has_not_come_does_not_count() -> None:
    echo.apply_async((1,), countdown=600)
    add.apply_async((1, 2), countdown=600, priority=5)

    assert (length(), age()) == (0, 0)


def test_run_that_waits_for_its_rate_needs_no_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limited, "start_interval", 3600.0)
    group(limited.s(str(n)) for n in range(5))()
    wait(600)

    assert TaskRun.objects.filter(state=State.PENDING).count() == 5
    assert (length(), age()) == (0, 0)


def test_counting_stops_where_it_would_change_nothing() -> None:
    group(echo.s(n) for n in range(20))()

    assert length(limit=7) == 7


def test_role_that_may_only_read_the_runs_is_enough() -> None:
    echo.delay(1)
    sql.execute("CREATE ROLE autoscaler")
    sql.execute("GRANT SELECT ON ledger_taskrun TO autoscaler")
    sql.execute("SET ROLE autoscaler")

    assert length() == 1
    assert age() == pytest.approx(0, abs=10)


@pytest.mark.parametrize("query", [queries.length(QUEUE, MANY), queries.age(QUEUE)])
def test_cost_does_not_grow_with_the_history(query: str) -> None:
    rows = [
        TaskRun(
            id=f"{state}-{number}",
            name=echo.name,
            queue=QUEUE,
            state=state,
            lane=QUEUE if state == State.PENDING else "",
            priority=number % 10,
            ended_at=timezone.now() if state == State.SUCCEEDED else None,
        )
        for state, count in (
            (State.SUCCEEDED, 20_000),
            (State.PENDING, 500),
            (State.QUEUED, 500),
            (State.RUNNING, 50),
        )
        for number in range(count)
    ]
    TaskRun.objects.bulk_create(rows, batch_size=1_000)
    sql.execute("ANALYZE ledger_taskrun")

    plan = "\n".join(line for (line,) in sql.fetch(f"EXPLAIN {query}"))

    assert "Seq Scan" not in plan, plan
    for index in ("run_due", "run_lane", "run_rung"):
        assert index in plan, plan
    assert connection.vendor == "postgresql"
