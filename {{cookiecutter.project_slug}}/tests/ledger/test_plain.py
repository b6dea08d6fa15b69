"""Plain tasks in the schedule: a tick is a row, and one message."""

import json

from django_celery_beat.models import PeriodicTask

from config.celery import app
from ledger.models import TaskRun
from ledger.plain import send
from ledger.schedule import LedgerScheduler
from ledger.states import State
from tests.harness.effects.tasks import plain_effect
from tests.harness.inline import InlineWorker, effects
from tests.ledger.entries import EVERY, entry, names, settle


def test_tick_of_a_plain_task_is_a_row_and_one_message(
    beat: LedgerScheduler, worker: InlineWorker
) -> None:
    entry(plain_effect, missed=2, queue="io")

    settle(beat, LedgerScheduler(app=app))
    assert TaskRun.objects.count() == 2
    assert set(TaskRun.objects.values_list("queue", flat=True)) == {"io"}
    worker.drain()

    assert effects() == ["key"] * 2
    assert names(State.SUCCEEDED).count(send.name) == 2


def test_message_that_is_sent_twice_has_one_id(worker: InlineWorker) -> None:
    for _ in range(2):
        send.apply((plain_effect.name, ["key"], {}, {}), task_id="tick")

    worker.drain()

    assert len(worker.executed) == 2
    assert len(set(worker.executed)) == 1


def test_expired_tick_of_a_plain_task_is_not_sent(
    beat: LedgerScheduler, worker: InlineWorker
) -> None:
    entry(plain_effect, missed=2, expire_seconds=int(EVERY.total_seconds()))

    settle(beat)
    worker.drain()

    assert effects() == ["key"]


def test_task_that_this_process_does_not_know_is_sent_by_name(
    beat: LedgerScheduler,
) -> None:
    PeriodicTask.objects.filter(pk=entry().pk).update(task="other.service.task")

    settle(beat)

    [run] = TaskRun.objects.all()
    assert (run.name, run.queue) == (send.name, "fast")
    assert json.loads(run.args)[0] == "other.service.task"
