"""End a run because a person says so."""

from celery import current_app
from celery.exceptions import TaskRevokedError

from ledger import unstarted
from ledger.models import TaskRun
from ledger.states import State


def cancel(run: TaskRun, *, terminate: bool = False) -> str:
    """End a run that has not started.

    Args:
        run: as the person has seen it.
        terminate: if it is executing, ask its worker to stop it; the worker records that.

    Returns:
        What came of it, for a person.
    """
    error = TaskRevokedError("cancelled by a person")
    waiting = "state IN ('pending', 'queued')"
    if unstarted.end(run.id, error, State.CANCELLED, only_if=waiting):
        return "cancelled"
    run.refresh_from_db()
    if run.state == State.RUNNING and terminate:
        current_app.control.revoke(run.id, terminate=True)
        return "asked to stop"
    if run.state == State.RUNNING:
        return "not cancelled: running; --terminate stops it"
    return f"not cancelled: {run.state} already"
