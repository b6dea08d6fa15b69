"""What the worker's main process knows of a run, and does when its pool process dies."""

import logging
from typing import Any

from billiard.exceptions import Terminated, WorkerLostError
from celery.exceptions import Ignore, Reject, Retry, TimeLimitExceeded
from celery.worker import state
from celery.worker.request import Request
from django.db import close_old_connections

from ledger import about, doorbell, lease, relay

log = logging.getLogger(__name__)

# What Celery's own handling of a failure is right about.
_CELERYS_OWN = (Ignore, Reject, Retry, Terminated, TimeLimitExceeded, MemoryError)


class LedgerRequest(Request):
    """A message about a run of the ledger.

    Nothing here may raise: an exception in the main process ends the worker, and with it
    all that its other processes are doing.
    """

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """Free the run at once if its process died, or gave up without an end.

        The relay decides what becomes of it, by its crashes. The message has done its
        work: it goes back to nobody.
        """
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        own = return_ok or isinstance(error, _CELERYS_OWN)
        known: Any = self  # the types of Celery leave some of it out
        stopped = known._already_cancelled or known._already_revoked
        if (
            isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt)
            or not own
        ):
            if not stopped:
                self._quietly(self._free, error)
                return
        self._quietly(super().on_failure, exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Record that a run was stopped at its hard limit."""
        self._quietly(super().on_timeout, soft, timeout)

    def revoked(self) -> bool:
        """Return whether the run is cancelled or expired; it is then recorded as such.

        The worker remembers ids that were revoked for hours. The row knows better: the run
        may have been replayed since.
        """
        if doorbell.TOKEN in self.request_dict:
            state.revoked.discard(self.id)
        return bool(self._quietly(super().revoked))

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Stop the run for good (`revoke(terminate=True)`)."""
        self._quietly(super().terminate, pool, signal)

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:
        """Stop the run because the broker is gone; it is started again elsewhere."""
        self._quietly(super().cancel, pool, signal, emit_retry)
        self._quietly(self._free, None)

    def _free(self, error: BaseException | None) -> None:
        state.task_ready(self)
        token = self.request_dict.get(doorbell.TOKEN) or self.id
        try:
            crashed = error is not None and not _is_stopping()
            if lease.release(self.id, token, crashed=crashed) and crashed:
                fields = about.message(self)
                log.error("process of the task is gone: %r", error, extra=fields)
        finally:
            self.acknowledge()
        relay.look_now()

    def _quietly(self, method: Any, *arguments: Any) -> Any:
        try:
            return method(*arguments)
        except MemoryError:
            raise
        except Exception:
            log.exception("not recorded", extra=about.message(self))
            close_old_connections()  # so that the next one finds a sound one
            return None


def _is_stopping() -> bool:
    flags: tuple[Any, ...] = (state.should_stop, state.should_terminate)
    # An exit status once the worker is to stop, of which one is 0.
    return any(flag is not None and flag is not False for flag in flags)
