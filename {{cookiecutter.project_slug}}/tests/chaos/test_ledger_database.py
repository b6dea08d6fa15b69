"""The database crashes, and comes back with what was committed."""

import pytest
from django.db import connection

from ledger import sql
from ledger.models import TaskRun
from ledger.states import State
from ledger.task import DurableTask
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import (
    atomic_begin_then_work,
    atomic_effect,
    begin_then_work,
)
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.own_postgres import OwnPostgres
from tests.harness.runs import all_ended, effects, ended, run_of, seen

pytestmark = pytest.mark.chaos


def test_postgresql_crash_restarted_mid_task_loses_nothing(
    postgres: OwnPostgres, durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    durable_worker(WORKER_CONCURRENCY="fast=4")
    begin_then_work.delay("long", 5)
    keys = [f"job {number}" for number in range(200)]
    for key in keys:
        atomic_effect.delay(key, 0.05)
    wait_until(lambda: seen("long begun")() and Effect.objects.count() > 20)

    postgres.crash()
    postgres.start()
    connection.close()  # this process's own, which died with the server

    wait_until(all_ended, timeout=60)
    done = Effect.objects.filter(key__startswith="job ").values_list("key", flat=True)
    assert sorted(done) == sorted(keys)
    assert set(TaskRun.objects.values_list("state", flat=True)) == {State.SUCCEEDED}
    assert effects("long done") == 1


@pytest.mark.parametrize("task", [begin_then_work, atomic_begin_then_work])
def test_run_whose_connection_is_cut_runs_again(
    postgres: OwnPostgres,
    durable_worker: StartWorker,
    wait_until: WaitUntil,
    task: DurableTask[[str, float], str],
) -> None:
    durable_worker(WORKER_CONCURRENCY="fast=1")
    result = task.delay("job", 1)
    wait_until(lambda: run_of(result).state == State.RUNNING)

    # As a failover does, or a pooler that is restarted: the database itself is there.
    sql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )

    wait_until(ended(result))
    assert (run_of(result).state, run_of(result).attempts) == (State.SUCCEEDED, 2)
    assert effects("job done") == 1
