"""What tests ask about runs, and about the effects that they have left."""

from collections.abc import Callable
from typing import Protocol

from ledger.models import TaskRun
from tests.harness.effects.models import Effect
from tests.harness.processes import Worker


class HasId(Protocol):
    """A result of any kind."""

    id: str


def effects(key: str) -> int:
    """Return how often an effect was left."""
    return Effect.objects.filter(key=key).count()


def seen(key: str, times: int = 1) -> Callable[[], bool]:
    """Return the condition that an effect was left so often."""
    return lambda: effects(key) >= times


def run_of(result: HasId) -> TaskRun:
    """Return the row of a result."""
    return TaskRun.objects.get(pk=result.id)


def ended(result: HasId) -> Callable[[], bool]:
    """Return the condition that a run has ended, one way or another."""
    return lambda: TaskRun.objects.finished().filter(pk=result.id).exists()


def all_ended() -> bool:
    """Return whether no run is left to do."""
    return not TaskRun.objects.active().exists()


def holder_of(result: HasId, workers: list[Worker]) -> Worker:
    """Return the worker that executes a run now."""
    process = int(run_of(result).worker.split(":")[-2])
    return next(worker for worker in workers if worker.pid == process)
