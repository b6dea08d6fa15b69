"""Entries of the schedule whose ticks are due, and beats that run them."""

import json
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, IntervalSchedule, PeriodicTask

from ledger.due import DUE_AT
from ledger.models import TaskRun
from ledger.schedule import LOST_RACE_SECONDS, RETRY_SECONDS, LedgerScheduler
from ledger.states import State
from tests.harness.effects.tasks import effect

EVERY = timedelta(minutes=10)

# How long ago the last of an entry's missed ticks was due.
LATE = timedelta(seconds=5)


def entry(task: Any = effect, *, missed: int = 1, **fields: Any) -> PeriodicTask:
    """Make an entry of every ten minutes, of which so many ticks are due and not run."""
    start = timezone.now() - LATE - EVERY * (missed - 1)
    interval, _ = IntervalSchedule.objects.get_or_create(every=10, period="minutes")
    defaults = {
        "name": "entry",
        "task": task.name,
        "args": json.dumps(["key"]),
        "interval": interval,
        "start_time": start,
        "last_run_at": start - timedelta(seconds=1),
    }
    return PeriodicTask.objects.create(**{**defaults, **fields})


def clocked(moment: datetime, **fields: Any) -> PeriodicTask:
    """Make an entry that is due once."""
    once = ClockedSchedule.objects.create(clocked_time=moment)
    kind = {"interval": None, "clocked": once, "one_off": True}
    return entry(start_time=None, last_run_at=None, **kind, **fields)


def dues_of(periodic: PeriodicTask, missed: int) -> list[datetime]:
    return [periodic.start_time + EVERY * number for number in range(missed)]


def ticked() -> list[datetime]:
    """Return when the ticks that became runs were due."""
    headers = [json.loads(run.options)["headers"] for run in TaskRun.objects.all()]
    return sorted(datetime.fromisoformat(each[DUE_AT]) for each in headers)


def settle(*beats: LedgerScheduler) -> float:
    """Let beats look until none has done or missed anything; return their last wait."""
    at_work = {0.0, LOST_RACE_SECONDS, RETRY_SECONDS}
    for _ in range(20):
        waits = [beat.tick() for beat in beats]
        if at_work.isdisjoint(waits):
            return min(waits)
    raise AssertionError("beats never come to rest")


def names(state: State | None = None) -> list[str]:
    runs = TaskRun.objects.filter(**({"state": state} if state else {}))
    return sorted(runs.values_list("name", flat=True))
