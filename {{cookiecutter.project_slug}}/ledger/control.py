"""`revoke()` on the ledger: it holds for workers that are not there yet, too."""

from typing import Any

from celery.app.control import Control
from celery.exceptions import TaskRevokedError

from ledger import unstarted
from ledger.states import State


class LedgerControl(Control):
    """Celery's remote control, with rows behind `revoke`."""

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
        ids = task_id if isinstance(task_id, list | tuple | set) else [task_id]
        for id in ids:
            unstarted.end(str(id), TaskRevokedError("revoked"), State.CANCELLED)
        return super().revoke(task_id, destination, terminate, signal, **kwargs)
