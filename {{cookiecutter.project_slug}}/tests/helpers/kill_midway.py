"""`KillMidway`: a real worker is killed in the middle of a task, for real."""

from collections.abc import Callable
from typing import Any

from ledger.models import TaskRun
from ledger.states import FINAL, State
from ledger.task import DurableTask
from tests.harness.fixtures import StartWorker, WaitUntil


class KillMidway:
    """The fixture `kill_midway` of `tests/chaos`."""

    def __init__(self, start_worker: StartWorker, wait_until: WaitUntil) -> None:
        self._start_worker = start_worker
        self._wait_until = wait_until

    def __call__(
        self,
        task: DurableTask[..., Any],
        *args: Any,
        when: Callable[[], object] = lambda: True,
        **kwargs: Any,
    ) -> TaskRun:
        """Have a task started, kill its worker with all processes, and start another one.

        Args:
            task: to be called with the other arguments, and executed by workers of its queue.
            args: as for `task.delay()`.
            when: the worker is killed once the task runs and this is true. The task must
                still be running then: let a server that it talks to hold its answer.
            kwargs: as for `task.delay()`.

        Returns:
            The row of the run when it has ended, one way or another.

        Raises:
            AssertionError: if the task had ended before it could be killed.
            TimeoutError: if the run was not started, `when` never became true, or the run
                did not end.
        """
        queue: str = getattr(task, "queue")  # which Celery's types leave out
        victim = self._start_worker(queue)
        run = TaskRun.objects.get(pk=task.delay(*args, **kwargs).id)

        def has_ended() -> bool:
            run.refresh_from_db()
            return run.state in FINAL

        def is_midway() -> bool:
            return has_ended() or (run.state == State.RUNNING and bool(when()))

        self._wait_until(is_midway)
        victim.kill()
        run.refresh_from_db()
        assert run.state == State.RUNNING, (
            f"{task.name} was {run.state} before its worker could be killed;"
            " let it wait for something, and say with `when` that it does"
        )
        self._start_worker(queue)
        self._wait_until(has_ended)
        return run
