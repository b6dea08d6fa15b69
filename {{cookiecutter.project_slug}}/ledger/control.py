"""`revoke()` and `rate_limit()` on the ledger: they hold for workers yet to come, too."""

from collections.abc import Iterable
from typing import Any

from celery.app.control import Control
from celery.exceptions import TaskRevokedError
from celery.worker import control as worker_commands

from ledger import limits, unstarted
from ledger.states import State


class LedgerControl(Control):
    """Celery's remote control, with rows behind `revoke` and `rate_limit`."""

    def revoke(
        self,
        task_id: Any,
        destination: Any = None,
        terminate: bool = False,
        signal: Any = "SIGTERM",
        **kwargs: Any,
    ) -> Any:
        """Cancel runs that have not started, then tell the workers.

        Args:
            task_id: of one run, or a list of them.
            destination: names of the workers to tell; all by default.
            terminate: stop the run also if it is executing.
            signal: with which it is stopped.
            kwargs: as in `celery.app.control.Control.revoke`.
        """
        _cancel(task_id)
        return super().revoke(task_id, destination, terminate, signal, **kwargs)

    def rate_limit(
        self, task_name: str, rate_limit: Any, destination: Any = None, **kwargs: Any
    ) -> Any:
        """Change the limit of a task.

        Of a durable task that has a limit, the one that all workers share, at once and
        until it is changed again; any other task gets Celery's own, which each worker
        counts for itself.

        Args:
            task_name: of the task.
            rate_limit: such as `"20/m"`; 0 lifts the limit, None restores the task's own.
            destination: names of the workers to tell, where each counts for itself.
            kwargs: as in `celery.app.control.Control.rate_limit`.

        Raises:
            ValueError: if the rate cannot be read.
        """
        if getattr(self.app.tasks.get(task_name), "start_interval", None) is None:
            return super().rate_limit(task_name, rate_limit, destination, **kwargs)
        seconds = limits.interval(rate_limit)
        limits.set_interval(
            task_name, 0 if rate_limit is not None and not seconds else seconds
        )
        return None


_celerys_revoke: Any = worker_commands.Panel.data["revoke"]


@worker_commands.control_command(
    name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]"
)
def revoke(state: Any, task_id: Any, *args: Any, **kwargs: Any) -> Any:
    """Cancel runs that have not started; for `celery control revoke`, sent by no caller."""
    _cancel(task_id)
    return _celerys_revoke(state, task_id, *args, **kwargs)


def _cancel(task_id: Any) -> None:
    many = isinstance(task_id, Iterable) and not isinstance(task_id, str)
    for id in task_id if many else [task_id]:
        unstarted.end(str(id), TaskRevokedError("revoked"), State.CANCELLED)
