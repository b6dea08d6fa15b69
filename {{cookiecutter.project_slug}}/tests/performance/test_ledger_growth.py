"""The cost of a run does not grow with the history: a million finished runs change nothing.

All indexes but the primary key and that of `prune` are partial: a run that has ended is in
none of them, see `ledger/models.py`.
"""

import re
from collections.abc import Callable
from statistics import median
from time import perf_counter
from uuid import uuid4

import pytest
from celery.utils import uuid
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ledger import relay, sql
from ledger.claim import Claim
from ledger.states import State
from tests.harness.effects.tasks import echo

pytestmark = [pytest.mark.performance, pytest.mark.django_db(transaction=True)]

SMALL, LARGE, WAITING = 1_000, 1_000_000, 100_000
SAMPLES = 300

# Far above what noise on a shared machine does to a median of hundreds.
WORST_RATIO = 2.0


def add_finished_runs(count: int) -> None:
    """Insert runs that have ended, as a service has after some weeks."""
    prefix = uuid4().hex
    if connection.vendor == "postgresql":
        numbers = f"SELECT n FROM generate_series(1, {count}) AS numbers(n)"
    else:
        numbers = (
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers"
            f" WHERE n < {count}) SELECT n FROM numbers"
        )
    sql.execute(
        f"""
        INSERT INTO ledger_taskrun (id, name, queue, state, result, ended_at)
        SELECT '{prefix}' || n, %s, 'fast', 'succeeded', '1', {sql.now()}
        FROM ({numbers}) AS numbers
        """,
        [echo.name],
    )
    settle()


def settle() -> None:
    """Let the database tidy up now, not in the middle of a measurement."""
    sql.execute("ANALYZE ledger_taskrun")
    if connection.vendor == "postgresql":
        sql.execute("VACUUM ledger_taskrun")
        sql.execute("CHECKPOINT")


def claim_and_finish() -> float:
    """Return the seconds that the two statements of a simple run take."""
    id = echo.delay(1).id
    started = perf_counter()
    claim = Claim.take(id, uuid())
    assert claim
    claim.finish(State.SUCCEEDED, result="1")
    return perf_counter() - started


def look() -> float:
    """Return the seconds that a look of the relay takes when there is nothing to do."""
    started = perf_counter()
    relay.step()
    return perf_counter() - started


def medians(measure: Callable[[], float]) -> float:
    return median(measure() for _ in range(SAMPLES))


def test_claim_and_relay_cost_the_same_with_a_million_finished_runs() -> None:
    add_finished_runs(SMALL)
    few = [medians(claim_and_finish), medians(look)]
    add_finished_runs(LARGE)
    many = [medians(claim_and_finish), medians(look)]

    for what, small, large in zip(("claim and end", "look of the relay"), few, many):
        print(
            f"\n{what}: {small * 1000:.2f} ms with {SMALL:,} finished runs,"
            f" {large * 1000:.2f} ms with {LARGE:,} more"
        )
        assert large < WORST_RATIO * small


def test_look_of_the_relay_costs_the_same_however_much_waits() -> None:
    add_finished_runs(SMALL)
    idle = medians(look)
    sql.execute(f"""
        UPDATE ledger_taskrun SET ended_at = NULL,
            state = 'pending', run_at = {sql.later("3600")}
        """)
    add_finished_runs(WAITING)
    sql.execute(f"""
        UPDATE ledger_taskrun
        SET ended_at = NULL, rung_at = {sql.later("3600")},
            run_at = {sql.later("3600")}, state = CASE WHEN id < '8' THEN 'pending' ELSE 'queued' END
        """)
    settle()
    busy = medians(look)

    print(
        f"\nlook of the relay: {idle * 1000:.2f} ms when nothing waits,"
        f" {busy * 1000:.2f} ms when {WAITING:,} runs do"
    )
    assert busy < WORST_RATIO * idle


def test_plans_read_the_primary_key_or_a_partial_index() -> None:
    add_finished_runs(WAITING)

    with CaptureQueriesContext(connection) as captured:
        claim_and_finish()
        look()
    statements = [query["sql"].strip() for query in captured.captured_queries]
    plans = {
        statement: explain(statement)
        for statement in statements
        if statement.startswith(("SELECT", "UPDATE"))
    }

    assert len(plans) == 3
    for statement, plan in plans.items():
        print(f"\n{' '.join(statement.split())}\n{plan}")
        assert "Seq Scan" not in plan
        assert not re.search(r"SCAN ledger_taskrun$", plan, re.MULTILINE)


def explain(statement: str) -> str:
    """Return the plan of a statement, as the database tells it."""
    how = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        cursor.execute(f"{how} {statement}")
        return "\n".join(str(row[-1]) for row in cursor.fetchall())
