"""What another version of this service has written runs here, and the other way round.

The rows and messages below are frozen: they are what the first version of the ledger wrote,
and are never changed to please a later one. Columns, options and headers may be added;
each has a default, and whoever does not know it ignores it.
"""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, models
from kombu import Exchange, Producer

from config.celery import app
from ledger.models import ChordRun, GroupRun, TaskRun
from ledger.states import State
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import add, effect
from tests.harness.inline import InlineWorker, effects

# A run as version 1 stored it. Its lists of columns are what an old process still names
# in its INSERT when the new migration has been applied.
OPTIONS = {
    "serializer": "json",
    "time_limit": 30,
    "soft_time_limit": 25,
    "ignore_result": False,
}
RUN: dict[str, Any] = {
    "id": "00000000-0000-4000-8000-000000000001",
    "name": "tests.harness.effects.tasks.add",
    "queue": "fast",
    "args": "[1, 2]",
    "kwargs": "{}",
    "options": json.dumps(OPTIONS),
    "state": "pending",
    "unique_key": None,
    "group_id": None,
    "group_index": None,
    "run_at": "2026-01-02 03:04:05+00:00",
    "expires_at": None,
}
REQUIRED = {
    TaskRun: {"id", "name", "state"},
    ChordRun: {"id"},
    GroupRun: {"id", "result"},
}

# The message that version 1 published for it.
HEADERS: dict[str, Any] = {
    "lang": "py",
    "task": "tests.harness.effects.tasks.add",
    "id": "00000000-0000-4000-8000-000000000001",
    "shadow": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "retries": 0,
    "timelimit": [30, 25],
    "root_id": "00000000-0000-4000-8000-000000000001",
    "parent_id": None,
    "argsrepr": "(1, 2)",
    "kwargsrepr": "{}",
    "origin": "gen1@host",
    "ignore_result": False,
    "replaced_task_nesting": 0,
    "stamped_headers": None,
    "stamps": {},
    "ledger_token": "token-1",
    "ledger_call_number": 0,
}
BODY = [
    [1, 2],
    {},
    {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
]


def store(row: dict[str, Any], table: str = "ledger_taskrun") -> None:
    """Insert a row as another version does: with the columns that it knows."""
    columns = ", ".join(row)
    values = ", ".join(["%s"] * len(row))
    with connection.cursor() as cursor:
        statement = f"INSERT INTO {table} ({columns}) VALUES ({values})"
        cursor.execute(statement, list(row.values()))


def publish(headers: dict[str, Any], body: Any = BODY) -> None:
    """Publish a message as another version does: without any of this one's code."""
    with app.connection_for_write() as broker:
        producer = Producer(broker.default_channel, exchange=Exchange(""))
        producer.publish(body, routing_key="fast", serializer="json", headers=headers)


def result_of(run: dict[str, Any]) -> Any:
    return app.AsyncResult(run["id"]).get(timeout=1)


def test_row_of_version_1_runs(worker: InlineWorker) -> None:
    store(RUN)

    worker.drain()

    assert result_of(RUN) == 3


def test_row_with_nothing_but_what_has_no_default_runs(worker: InlineWorker) -> None:
    store({"id": "minimal", "name": effect.name, "state": "pending"})
    store({"id": "with args", "name": add.name, "state": "pending", "args": "[1, 2]"})

    worker.drain()

    assert TaskRun.objects.get(pk="minimal").reason.startswith("TypeError")
    assert app.AsyncResult("with args").get(timeout=1) == 3


@pytest.mark.parametrize("model", REQUIRED)
def test_every_later_column_has_a_default_in_the_database(
    model: type[models.Model],
) -> None:
    without = {
        field.column
        for field in model._meta.concrete_fields
        if not field.null and not field.has_db_default()
    }

    assert without == REQUIRED[model]


def test_row_of_a_newer_version_runs_without_what_is_unknown(
    worker: InlineWorker,
) -> None:
    newer = {"invented_later": {"by": "version 2"}, "headers": {"ledger_later": 1}}
    store(RUN | {"options": json.dumps(OPTIONS | newer)})

    worker.drain()

    assert result_of(RUN) == 3


def test_retry_keeps_the_options_that_are_unknown(worker: InlineWorker) -> None:
    """The newer version that finishes the run still needs them."""
    newer = OPTIONS | {"headers": {"ledger_later": 1}}
    store(
        RUN
        | {
            "name": "tests.harness.effects.tasks.retried",
            "args": '[1, "tried"]',
            "options": json.dumps(newer),
        }
    )

    worker.drain()

    assert result_of(RUN) == 1
    assert json.loads(TaskRun.objects.get().options)["headers"]["ledger_later"] == 1


def test_message_of_version_1_starts_its_row(worker: InlineWorker) -> None:
    store(RUN | {"state": "queued"})
    publish(HEADERS)

    worker.drain()

    assert worker.executed == [RUN["id"]]
    assert TaskRun.objects.get().token == "token-1"


def test_message_of_a_newer_version_starts_its_row(worker: InlineWorker) -> None:
    store(RUN | {"state": "queued"})
    publish(HEADERS | {"ledger_later": {"by": "version 2"}})

    worker.drain()

    assert worker.executed == [RUN["id"]]
    assert result_of(RUN) == 3


def test_message_with_a_token_and_no_call_number_starts_the_first_call(
    worker: InlineWorker,
) -> None:
    store(RUN | {"state": "queued"})
    publish({k: v for k, v in HEADERS.items() if k != "ledger_call_number"})

    worker.drain()

    assert worker.executed == [RUN["id"]]
    assert result_of(RUN) == 3


def test_message_from_before_the_ledger_is_adopted(worker: InlineWorker) -> None:
    publish({k: v for k, v in HEADERS.items() if not k.startswith("ledger_")})

    worker.drain()

    assert result_of(RUN) == 3
    assert TaskRun.objects.get().attempts == 1


def test_message_from_before_the_ledger_is_adopted_with_its_canvas(
    worker: InlineWorker,
) -> None:
    linked: dict[str, Any] = {
        "task": effect.name,
        "args": ["linked"],
        "kwargs": {},
        "options": {},
        "subtask_type": None,
        "immutable": True,
    }
    rest = linked | {"args": ["next"], "options": {"task_id": "rest"}}
    embedded = {"callbacks": [linked], "errbacks": None, "chain": [rest], "chord": None}
    publish(
        {k: v for k, v in HEADERS.items() if not k.startswith("ledger_")},
        [[1, 2], {}, embedded],
    )

    worker.drain()

    assert effects() == ["linked", "next"]
    assert app.AsyncResult("rest").get(timeout=1) == "next"


def test_message_from_before_the_ledger_that_comes_twice_runs_once(
    worker: InlineWorker,
) -> None:
    headers = {k: v for k, v in HEADERS.items() if not k.startswith("ledger_")}
    for _ in range(2):
        publish(headers | {"task": effect.name}, [["once"], {}, BODY[2]])

    worker.drain()

    assert Effect.objects.count() == 1


def test_message_without_the_fields_that_celery_added_later_is_adopted(
    worker: InlineWorker,
) -> None:
    known = ("lang", "task", "id", "root_id", "parent_id", "group")
    publish({name: HEADERS[name] for name in known})

    worker.drain()

    assert result_of(RUN) == 3


def test_chord_of_version_1_is_completed(worker: InlineWorker) -> None:
    body: dict[str, Any] = {
        "task": "tests.harness.effects.tasks.total",
        "args": [],
        "kwargs": {},
        "options": {"task_id": "body", "group_id": "chord"},
        "subtask_type": None,
        "immutable": False,
    }
    store({"id": "chord", "header": None, "size": 2}, "ledger_chordrun")
    for index in range(2):
        options = {"group_id": "chord", "group_index": index, "chord": body}
        store(
            RUN
            | {
                "id": f"member {index}",
                "options": json.dumps(OPTIONS | options),
                "group_id": "chord",
                "group_index": index,
            }
        )

    worker.drain()

    assert app.AsyncResult("body").get(timeout=1) == 6
    assert not ChordRun.objects.exists()


def test_end_that_version_1_stored_is_read() -> None:
    ended = {"state": "succeeded", "attempts": 1, "result": '{"total": 3}'}
    children = '[[["child", null], null]]'
    store(RUN | ended | {"children": children, "ended_at": RUN["run_at"]})
    error = {
        "exc_type": "ValueError",
        "exc_message": ["bad"],
        "exc_module": "builtins",
    }
    store(RUN | {"id": "bad", "state": "failed", "result": json.dumps(error)})

    result: Any = app.AsyncResult(RUN["id"])

    assert result.get(timeout=1) == {"total": 3}
    assert [child.id for child in result.children or ()] == ["child"]
    with pytest.raises(ValueError, match="bad"):
        app.AsyncResult("bad").get(timeout=1)


def test_arguments_that_version_1_stored_are_read(worker: InlineWorker) -> None:
    moment = '[{"__type__": "datetime", "__value__": "2026-01-02T03:04:05+00:00"}]'
    store(RUN | {"name": "tests.harness.effects.tasks.echo", "args": moment})

    worker.drain()

    assert result_of(RUN) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_states_are_the_frozen_ones() -> None:
    """A state more is two deploys: one that reads it, and then one that writes it."""
    assert {state.value for state in State} == {
        "pending",
        "queued",
        "running",
        "replaced",
        "succeeded",
        "failed",
        "dead",
        "cancelled",
    }
