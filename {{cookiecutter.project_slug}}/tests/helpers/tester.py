"""`TaskTester`: tasks are enqueued for real and executed in the test's own process.

Rows, messages, retries, callbacks and commits are those of a worker: the same code runs, on
a broker in memory. What it cannot do is what takes processes or time: `tests/chaos` does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ParamSpec, Self, TypeVar

import pytest
from celery import Task, signals
from celery.utils.time import get_exponential_backoff_interval
from django.db import connection
from kombu.utils.json import dumps, loads

from ledger import relay, sql
from ledger.claim import Claim
from ledger.models import TaskRun
from ledger.states import FINAL
from ledger.task import DurableTask
from tests.harness.inline import InlineWorker, WorkerDied
from tests.helpers.changes import changes
from tests.helpers.finished import FinishedRun

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E")


class TaskTester:
    """The fixture `tasks`.

    While it is in use, `retry_backoff` waits for its longest time, without jitter, and no
    test waits for it: a countdown is over as soon as nothing else is left to execute.
    """

    def __init__(self, worker: InlineWorker, monkeypatch: pytest.MonkeyPatch) -> None:
        self._worker = worker
        self._monkeypatch = monkeypatch
        self._started: list[tuple[str, str]] = []
        self._delays: list[tuple[str, float]] = []
        self._progress: list[tuple[str, dict[str, Any]]] = []

    def run(
        self, task: Task[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> FinishedRun[R]:
        """Enqueue a task, and execute it to its end, with its retries and all that follows.

        Args:
            task: any task, durable or plain.
            args: as for `task.delay()`.
            kwargs: as for `task.delay()`.

        Returns:
            The run, which has ended; one that failed is returned like any other.

        Raises:
            RuntimeError: inside a transaction, before whose commit nothing starts.
            AssertionError: if the run has not ended, for instance because it is a member of
                a workflow that waits for something else.
        """
        begun = len(self._started)
        result = task.delay(*args, **kwargs)
        self.drain()
        return self._finished(result.id, begun)

    def drain(self) -> list[str]:
        """Execute everything that is enqueued and all that follows from it: a workflow.

        Returns:
            The names of the tasks that were started, in order; once per attempt.

        Raises:
            RuntimeError: inside a transaction, before whose commit nothing starts.
        """
        if connection.in_atomic_block:
            raise RuntimeError("in a transaction: its tasks start after the commit")
        begun = len(self._started)
        self._worker.drain()
        return [name for _, name in self._started[begun:]]

    def enqueued(self, task: DurableTask[..., Any]) -> list[dict[str, Any]]:
        """Return the arguments of the calls that wait for their first start.

        Inside a transaction too: a call is a row of it, and goes with its rollback.

        Args:
            task: a durable task.

        Returns:
            The arguments of each call, by the names of the parameters.
        """
        rows = TaskRun.objects.waiting().filter(name=task.name, attempts=0)
        calls = rows.order_by("created_at").values_list("args", "kwargs")
        return [_named(task, loads(args), loads(kwargs)) for args, kwargs in calls]

    def assert_enqueued(
        self, task: DurableTask[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Check that one call, and only one, waits with just these arguments.

        Args:
            task: a durable task.
            args: by position or by name, however the call was written.
            kwargs: as `args`.

        Raises:
            AssertionError: listing the calls of this task that wait.
        """
        __tracebackhide__ = True
        wanted = _named(task, *loads(dumps([args, kwargs])))
        waiting = self.enqueued(task)
        found = waiting.count(wanted)
        assert found == 1, (
            f"{task.name}: {found} calls with {wanted} wait, expected 1;"
            f" all that wait: {waiting}"
        )

    def twice(
        self,
        task: Task[..., Any],
        *args: Any,
        effects: Callable[[], E],
        **kwargs: Any,
    ) -> E:
        """Execute a run twice, and check that its effects are those of one.

        A durable task is executed until its end is to be stored; there its worker dies. The
        lease runs out, and the same run is executed again. Either the first time leaves
        nothing, as with `atomic=True`, or the second one adds nothing. A task that says
        `idempotent=…` is then called once more, with the same arguments, which must add
        nothing either.

        The message of a plain task is executed twice.

        Args:
            task: to be called with the other arguments; the run must succeed.
            args: as for `task.delay()`.
            effects: returns what can be seen of the effects, to be compared by `==`: a
                count, a list of rows, the keys that another service has received.
            kwargs: as for `task.delay()`.

        Returns:
            The effects in the end, so that a test can say what they should be.

        Raises:
            AssertionError: if the effects are not those of one run, if there were none, or
                if the run did not succeed.
            RuntimeError: inside a transaction, before whose commit nothing starts.
        """
        __tracebackhide__ = True
        before = effects()
        begun = len(self._started)
        if isinstance(task, DurableTask):
            id, first, second = self._crashed_and_repeated(task, args, kwargs, effects)
        else:
            id, first, second = self._delivered_twice(task, args, kwargs, effects)
        self._finished(id, begun).result  # raises unless it succeeded
        if first not in (before, second):
            raise AssertionError(
                f"{task.name} has further effects when its run is executed twice:"
                f" {changes(first, second)}\nThe first time: {changes(before, first)}"
            )
        if second == before:
            raise AssertionError(
                f"{task.name} left no effects, which proves nothing here: create what it"
                " works on first, or let `effects` return what another service received"
            )
        if getattr(task, "idempotent", None):
            again = self.run(task, *args, **kwargs)
            again.result  # raises unless it succeeded
            third = effects()
            if third != second:
                raise AssertionError(
                    f"{task.name} is declared idempotent, and has further effects when it"
                    f" is called again: {changes(second, third)}"
                )
        return second

    def _crashed_and_repeated(
        self, task: Task[..., Any], args: Any, kwargs: Any, effects: Callable[[], E]
    ) -> tuple[str, E, E]:
        id = task.apply_async(args, kwargs).id
        with self._dies_before_the_end_of(id):
            self.drain()
        first = effects()
        sql.execute(
            f"UPDATE ledger_taskrun SET lease_until = {sql.later('-1')}"
            " WHERE id = %s AND state = 'running'",
            [id],
        )
        relay.ring_lapsed()
        self.drain()
        return id, first, effects()

    def _delivered_twice(
        self, task: Task[..., Any], args: Any, kwargs: Any, effects: Callable[[], E]
    ) -> tuple[str, E, E]:
        id = task.apply_async(args, kwargs).id
        self.drain()
        first = effects()
        self._worker.execute_again(id)
        self.drain()
        return id, first, effects()

    @contextmanager
    def _dies_before_the_end_of(self, id: str) -> Iterator[None]:
        with self._monkeypatch.context() as patch:
            for way_to_end in ("finish", "replace"):
                patch.setattr(Claim, way_to_end, _dying(getattr(Claim, way_to_end), id))
            yield

    def _finished(self, id: str, begun: int) -> FinishedRun[Any]:
        __tracebackhide__ = True
        row = TaskRun.objects.filter(pk=id).first()
        assert row, f"run {id} left no row: a plain task that ignores its result"
        assert row.state in FINAL, (
            f"{row.name} is still {row.state} when nothing is left to execute:"
            f" {row.reason or 'it waits for something else'}"
        )
        return FinishedRun(
            row,
            retry_delays=[seconds for one, seconds in self._delays if one == id],
            progress=[meta for one, meta in self._progress if one == id],
            started=[name for _, name in self._started[begun:]],
        )

    def __enter__(self) -> Self:
        self._monkeypatch.setattr(
            "celery.app.autoretry.get_exponential_backoff_interval", _longest_backoff
        )
        update_state: Callable[..., None] = Task.update_state

        def recorded(
            task: Task[..., Any],
            task_id: str | None = None,
            state: str | None = None,
            meta: Any = None,
            **kwargs: Any,
        ) -> None:
            self._progress.append((str(task_id or task.request.id), meta))
            update_state(task, task_id, state, meta, **kwargs)

        self._monkeypatch.setattr(Task, "update_state", recorded)
        signals.task_prerun.connect(self._note_start)
        signals.task_retry.connect(self._note_retry)
        return self

    def __exit__(self, *error: object) -> None:
        signals.task_prerun.disconnect(self._note_start)
        signals.task_retry.disconnect(self._note_retry)

    def _note_start(self, task_id: str, task: Any, **kwargs: object) -> None:
        self._started.append((task_id, task.name))

    def _note_retry(self, request: Any, reason: Any, **kwargs: object) -> None:
        when = reason.when
        if isinstance(when, datetime):
            when = (when - datetime.now(UTC)).total_seconds()
        self._delays.append((request.id, when))


def _named(task: Task[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    return dict(inspect.signature(task.run).bind(*args, **kwargs).arguments)


def _longest_backoff(
    *, factor: int, retries: int, maximum: int, full_jitter: bool
) -> int:
    """Stand in for Celery's, which draws a random number up to this."""
    return get_exponential_backoff_interval(factor, retries, maximum)


def _dying(method: Callable[..., Any], id: str) -> Callable[..., Any]:
    def die_in_place_of(claim: Claim, *args: Any, **kwargs: Any) -> Any:
        if claim.id != id:
            return method(claim, *args, **kwargs)
        claim.rollback()  # as the database does when the connection breaks
        raise WorkerDied

    return die_in_place_of
