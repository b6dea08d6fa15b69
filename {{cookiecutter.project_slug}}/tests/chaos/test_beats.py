"""Three beats, none of which leads; they are killed, and every tick runs once."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from random import Random

import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from ledger.due import DUE_AT
from ledger.models import TaskRun
from tests.chaos.conftest import IMPATIENT
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import atomic_effect
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.services import Service, StartService, service

__all__ = ["service"]

pytestmark = pytest.mark.chaos

SECOND = timedelta(seconds=1)
KILLS = 10

StartBeat = Callable[[], Service]


@pytest.fixture
def beat(service: StartService) -> StartBeat:
    """Start a beat that knows the tasks of the tests."""
    return partial(service, "beat", **IMPATIENT)


@pytest.fixture
def every_second(durable_worker: StartWorker) -> PeriodicTask:
    """A worker, and an entry that is due every second."""
    durable_worker(WORKER_CONCURRENCY="fast=1")
    second = IntervalSchedule.objects.create(every=1, period="seconds")
    return PeriodicTask.objects.create(
        name="every second",
        task=atomic_effect.name,
        interval=second,
        args=json.dumps(["tick"]),
    )


def ticks() -> list[datetime]:
    """Return when the ticks that have a run were due, in order."""
    options = TaskRun.objects.filter(name=atomic_effect.name).values_list(
        "options", flat=True
    )
    headers = (json.loads(text)["headers"] for text in options)
    return sorted(datetime.fromisoformat(each[DUE_AT]) for each in headers)


def stopped(beats: list[Service]) -> list[datetime]:
    """Stop all beats; return the ticks that they have left."""
    for each in beats:
        each.ask_to_stop()
    for each in beats:
        each.stop(20)
    return ticks()


def assert_each_ran_once(due: list[datetime], entry: PeriodicTask) -> None:
    """Check that no second is missing, none is there twice, and each has its effect."""
    assert due == [due[0] + SECOND * number for number in range(len(due))]
    entry.refresh_from_db()
    assert (entry.total_run_count, entry.last_run_at) == (len(due), due[-1])
    assert Effect.objects.count() == len(due)
    assert set(TaskRun.objects.values_list("attempts", flat=True)) == {1}


def all_ended() -> bool:
    return not TaskRun.objects.active().exists()


def test_beats_killed_again_and_again_run_every_tick_once(
    beat: StartBeat, every_second: PeriodicTask, wait_until: WaitUntil
) -> None:
    random = Random(20)
    beats = [beat() for _ in range(3)]
    wait_until(lambda: len(ticks()) > 2, timeout=60)

    for _ in range(KILLS):
        before = len(ticks())
        wait_until(lambda: len(ticks()) > before, timeout=60)
        victim = random.randrange(len(beats))
        beats[victim].kill()
        beats[victim] = beat()
    before = len(ticks())
    wait_until(lambda: len(ticks()) > before + 2, timeout=60)

    due = stopped(beats)
    wait_until(all_ended)
    assert len(due) > KILLS
    assert_each_ran_once(due, every_second)


def test_ticks_missed_while_all_beats_are_down_are_made_up_for(
    beat: StartBeat, every_second: PeriodicTask, wait_until: WaitUntil
) -> None:
    beats = [beat() for _ in range(2)]
    wait_until(lambda: len(ticks()) > 1, timeout=60)
    for each in beats:
        each.kill()
    last = ticks()[-1]
    wait_until(lambda: timezone.now() > last + 6 * SECOND)
    assert ticks()[-1] == last

    beats = [beat() for _ in range(2)]
    wait_until(lambda: ticks()[-1] > last + 8 * SECOND, timeout=60)

    due = stopped(beats)
    wait_until(all_ended)
    assert_each_ran_once(due, every_second)


def test_beat_that_sleeps_stops_at_once_when_it_is_told_to(
    service: StartService, wait_until: WaitUntil
) -> None:
    sleeping = service("beat", CELERY_BEAT_MAX_LOOP_INTERVAL="600")
    wait_until(PeriodicTask.objects.exists, timeout=60)  # its schedule is installed

    sleeping.ask_to_stop()

    assert sleeping.wait(60) == 0, sleeping.tail()
