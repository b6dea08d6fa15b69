"""`manage.py runs`."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from celery import chain, group
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from ledger import report
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import add, effect, fail, fails_until, spawn
from tests.harness.inline import InlineWorker, run_of
from tests.ledger.test_prune import long_ago, make


def runs(*arguments: str) -> str:
    """Return what the command prints."""
    out = io.StringIO()
    call_command("runs", *arguments, stdout=out)
    return out.getvalue()


def as_json(*arguments: str) -> Any:
    return json.loads(runs(*arguments, "--json"))


def listed(*arguments: str) -> list[str]:
    return sorted(run["id"] for run in as_json("list", *arguments))


# --- list and show


def test_list_shows_the_newest_first_with_the_reason() -> None:
    now = timezone.now()
    make(State.FAILED, now, created_at=now - timedelta(hours=2), reason="broken\nfully")
    make(State.QUEUED, None, queue="io", created_at=now)

    lines = runs("list").splitlines()

    assert lines[0].split() == [
        *("ID", "STATE", "TASK", "QUEUE", "ATTEMPTS", "CREATED", "REASON"),
    ]
    assert lines[1].startswith("run 00001  queued  some  io")
    assert lines[2].startswith("run 00000  failed  some")
    assert lines[2].endswith("broken")


def test_filters_of_list() -> None:
    now = timezone.now()
    make(State.FAILED, now - timedelta(hours=5), reason="ValueError: odd", queue="io")
    make(State.DEAD, now - timedelta(minutes=5), reason="WorkerLostError")
    make(State.QUEUED, None, created_at=now - timedelta(minutes=1))
    TaskRun.objects.filter(pk="run 00001").update(name="app.tasks.mail_tasks.send")

    assert len(listed()) == 3
    assert listed("--state", "failed", "--state", "dead") == ["run 00000", "run 00001"]
    assert listed("--queue", "io") == ["run 00000"]
    assert listed("--task", "app.*.send") == ["run 00001"]
    assert listed("--task", "some") == ["run 00000", "run 00002"]
    assert listed("--task", "som") == []
    assert listed("--reason", "valueerror") == ["run 00000"]
    assert listed("--since", "1h") == ["run 00001", "run 00002"]
    assert listed("--until", "1h") == ["run 00000"]
    midnight = (now - timedelta(days=1)).date().isoformat()
    assert listed("--since", midnight, "--until", "2m") == ["run 00000", "run 00001"]
    assert len(listed("--limit", "2")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--state", "lost"], "--state.*'lost'.*pending"),
        (["list", "--queue", "quick"], "--queue.*'quick'.*critical"),
        (["list", "--since", "yesterday"], "--since: 'yesterday': expected an age"),
        (["list", "--limit", "0"], "--limit: '0': expected a number"),
        (["show", "none"], "ID: no run has the id 'none'"),
        (["replay", "--state", "succeeded"], "--state.*'succeeded'.*dead"),
        (["replay"], "ID: say which runs; accepted: .*--state"),
        (["cancel"], "ID: say which runs"),
        (["replay", "none"], "ID: no run has the id none"),
        ([], "command"),
    ],
)
def test_mistake_is_named_with_what_is_accepted(
    arguments: list[str], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        runs(*arguments)


def test_database_that_is_down_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OperationalError("connection failed\nIs the server running?")

    monkeypatch.setattr(report, "table", refuse)

    with pytest.raises(CommandError) as raised:
        runs("list")

    assert str(raised.value) == "the database cannot be reached: connection failed"


def test_show_has_everything(worker: InlineWorker) -> None:
    parent = spawn.delay(2)
    failed = fail.apply_async(("odd",), priority=3)
    worker.drain()

    page = runs("show", failed.id)
    said = as_json("show", failed.id)

    for part in ("failed", fail.name, '"odd"', "priority", "started_at", "Traceback"):
        assert part in page, part
    assert said["arguments"] == ["odd"]
    assert said["priority"] == 3
    assert said["timeline"].keys() >= {"created_at", "started_at", "ended_at"}
    assert said["reason"] == "ValueError: odd"
    children = as_json("show", parent.id)["children"]
    assert list(children.values()) == ["succeeded", "succeeded"]
    assert list(children)[0] in runs("show", parent.id)


def test_show_says_how_far_a_chord_is() -> None:
    header = group(add.s(1, 1), add.s(2, 2))
    workflow: Any = chain(header, effect.si("body"))
    body = workflow()
    member = TaskRun.objects.filter(name=add.name).first()
    assert member

    chord = as_json("show", member.id)["chord"]

    assert chord["body_id"] == body.id
    assert (chord["members_done"], chord["members"]) == (0, 2)


# --- replay


def failures(worker: InlineWorker, count: int = 3) -> list[TaskRun]:
    results = [fails_until.delay("mended", number) for number in range(count)]
    worker.drain()
    Effect.objects.create(key="mended")
    return [run_of(result) for result in results]


def states() -> set[str]:
    return set(TaskRun.objects.values_list("state", flat=True))


def test_replay_by_id_and_again_is_one_run_each(worker: InlineWorker) -> None:
    first, second, third = failures(worker)

    assert runs("replay", first.id, second.id) == "replayed: 2\n"
    assert runs("replay", first.id) == "not replayed: queued already: 1\n"

    worker.drain()
    assert run_of(first).state == run_of(second).state == State.SUCCEEDED
    assert run_of(third).state == State.FAILED


def test_replay_by_filter_goes_through_all_batches(
    worker: InlineWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.management.commands.runs.ROWS_PER_BATCH", 2)
    failures(worker, 5)
    make(State.FAILED, timezone.now(), name="other", queue="fast")

    said = as_json("replay", "--task", fails_until.name, "--since", "1h")

    assert said == {"replayed": 5}
    worker.drain()
    ended = TaskRun.objects.filter(name=fails_until.name)
    assert set(ended.values_list("state", flat=True)) == {State.SUCCEEDED}


def test_dry_run_shows_what_would_be_done_and_does_nothing(
    worker: InlineWorker,
) -> None:
    failures(worker)

    said = runs("replay", "--state", "failed", "--limit", "2", "--dry-run")

    assert said.count(fails_until.name) == 2
    assert said.endswith("would replay: 2\n")
    assert states() == {State.FAILED}


def test_replay_of_what_cannot_be_replayed_fails_and_says_why(
    worker: InlineWorker,
) -> None:
    result = add.delay(1, 2)
    worker.drain()
    out = io.StringIO()

    with pytest.raises(CommandError, match=f"refused: {result.id}"):
        call_command("runs", "replay", result.id, stdout=out)

    assert "refused: it is succeeded; accepted: " in out.getvalue()


# --- cancel and prune


def test_cancel_ends_what_waits_and_leaves_what_runs() -> None:
    waiting = add.apply_async((1, 2), countdown=60)
    running = make(State.RUNNING, None, lease_until=timezone.now())
    make(State.SUCCEEDED, timezone.now())

    said = as_json("cancel", "--since", "1h")

    assert said == {"cancelled": 1, "not cancelled: running; --terminate stops it": 1}
    assert run_of(waiting).reason == "TaskRevokedError: cancelled by a person"
    assert run_of(running).state == State.RUNNING


def test_prune_says_how_many() -> None:
    for _ in range(3):
        make(State.SUCCEEDED, long_ago())

    assert runs("prune", "--dry-run") == "would prune: 3\n"
    assert TaskRun.objects.count() == 3
    assert as_json("prune") == {"pruned": 3}
    assert not TaskRun.objects.exists()
