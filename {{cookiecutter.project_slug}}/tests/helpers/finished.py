"""`FinishedRun`: what a test is told about a run that has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from celery.result import AsyncResult

from ledger.models import TaskRun
from ledger.states import State

R = TypeVar("R")


@dataclass(frozen=True)
class FinishedRun(Generic[R]):
    """A run that has ended, one way or another.

    Attributes:
        row: of the ledger.
        retry_delays: seconds that it waited before each retry, at most.
        progress: the `meta` of each of its `update_state()`, in order.
        started: the names of all tasks that were started until nothing was left to
            execute, in order; once per attempt.
    """

    row: TaskRun
    retry_delays: list[float]
    progress: list[dict[str, Any]]
    started: list[str]

    @property
    def id(self) -> str:
        """The id of the run, which is the task's id."""
        return self.row.id

    @property
    def state(self) -> State:
        """How it ended."""
        return State(self.row.state)

    @property
    def attempts(self) -> int:
        """How often it was started."""
        return self.row.attempts

    @property
    def result(self) -> R:
        """What the task returned, as JSON brings it back.

        Raises:
            AssertionError: with the task's traceback, if it did not succeed.
        """
        __tracebackhide__ = True
        assert self.state == State.SUCCEEDED, (
            f"{self.row.name} ended as {self.state}: {self.error!r}\n"
            f"{self.row.traceback or ''}"
        )
        return cast(R, AsyncResult[R](self.id).result)

    @property
    def error(self) -> BaseException | None:
        """What it raised, or why it was not executed; None if it succeeded."""
        stored: object = AsyncResult(self.id).result
        return stored if isinstance(stored, BaseException) else None
