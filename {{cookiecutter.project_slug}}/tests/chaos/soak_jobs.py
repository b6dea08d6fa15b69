"""The work of the soak: every kind of job, and what must be true of each in the end."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from celery import chord
from django.db import transaction

from ledger.models import ChordRun, TaskRun
from ledger.states import State
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import (
    add,
    atomic_effect,
    atomic_retried,
    atomic_then_fail,
    atomic_total_effect,
    effect,
    kill_own_process,
    retried,
)

# Every so many jobs, one is poison.
POISON_EVERY = 1000

CHORD_MEMBERS = 5
LONGEST_SECONDS = 0.2
LONGEST_COUNTDOWN = 5.0


@dataclass
class Jobs:
    """What was enqueued, and what must come of it.

    Attributes:
        random: decides on all that is left to chance.
        rows: runs that must exist in the end.
        once: effects of atomic tasks: each exactly once.
        at_least_once: effects of the others.
        kinds: how many jobs of each kind there are.
    """

    random: Random
    rows: int = 0
    once: set[str] = field(default_factory=set)
    at_least_once: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)

    def enqueue(self, count: int) -> None:
        """Enqueue some jobs in one transaction."""
        with transaction.atomic():
            for _ in range(count):
                self._enqueue_one()

    def violations(self) -> list[str]:
        """Return what is not as it must be; empty if nothing was lost or doubled."""
        left = Counter(Effect.objects.values_list("key", flat=True))
        wrong = [f"{left[key]} effects of {key}" for key in self.once if left[key] != 1]
        wrong += [f"no effect of {key}" for key in self.at_least_once if not left[key]]
        wrong += [f"unexpected: {key}" for key in left if key not in self._all()]
        if (rows := TaskRun.objects.count()) != self.rows:
            wrong.append(f"{rows} rows instead of {self.rows}")
        if ChordRun.objects.exists():
            wrong.append(f"{ChordRun.objects.count()} chords never started their body")
        expected = {
            atomic_then_fail.name: State.FAILED,
            kill_own_process.name: State.DEAD,
        }
        for run in TaskRun.objects.only(
            "name", "state", "reason", "ended_at"
        ).iterator():
            if run.state != expected.get(run.name, State.SUCCEEDED) or not run.ended_at:
                wrong.append(f"{run} {run.reason}")
        return wrong

    def _all(self) -> set[str]:
        return self.once | self.at_least_once

    def _enqueue_one(self) -> None:
        number = self.kinds.total()
        if number % POISON_EVERY == POISON_EVERY // 2:
            kind: Callable[[Jobs, str], None] = Jobs._poison
        else:
            [kind] = self.random.choices(list(MIX), weights=list(MIX.values()))
        name = kind.__name__.strip("_")
        kind(self, f"{name} {number}")
        self.kinds[name] += 1

    def _seconds(self) -> float:
        return self.random.uniform(0, LONGEST_SECONDS)

    def _plain(self, key: str) -> None:
        effect.delay(key, self._seconds())
        self.at_least_once.add(key)
        self.rows += 1

    def _atomic(self, key: str) -> None:
        atomic_effect.delay(key, self._seconds())
        self.once.add(key)
        self.rows += 1

    def _retried(self, key: str) -> None:
        atomic_retried.delay(2, key)
        self.once.add(key)
        self.rows += 1

    def _countdown(self, key: str) -> None:
        wait = self.random.uniform(0, LONGEST_COUNTDOWN)
        atomic_effect.apply_async((key, 0), countdown=wait)
        self.once.add(key)
        self.rows += 1

    def _failing(self, key: str) -> None:
        atomic_then_fail.delay(key)
        self.rows += 1

    def _poison(self, key: str) -> None:
        kill_own_process.delay(key)
        self.at_least_once.add(key)
        self.rows += 1

    def _chain(self, key: str) -> None:
        links = [f"{key}, link {number}" for number in range(3)]
        first, second, third = (atomic_effect.si(link, 0) for link in links)
        chain: Any = first | second | third
        chain()
        self.once.update(links)
        self.rows += len(links)

    def _chord(self, key: str) -> None:
        members = [add.s(number, 0) for number in range(CHORD_MEMBERS - 1)]
        chord([*members, retried.s(1)], atomic_total_effect.s(key))()
        self.once.add(key)
        self.rows += CHORD_MEMBERS + 1


# Of each kind so many, in relation to the others.
MIX: dict[Callable[[Jobs, str], None], int] = {
    Jobs._plain: 30,
    Jobs._atomic: 30,
    Jobs._retried: 10,
    Jobs._countdown: 10,
    Jobs._chord: 10,
    Jobs._chain: 7,
    Jobs._failing: 3,
}
