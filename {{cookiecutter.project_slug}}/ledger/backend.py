"""`LedgerBackend`: results, progress and chords are columns of the run's own row.

That a run has ended, its result, and what follows from it become visible in one commit.
A task that is not durable gets a row as well when its result is stored: without a lease,
so that no relay looks at it.
"""

import logging
import os
from typing import Any

from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError
from django.db import DatabaseError, transaction

from ledger import columns, doorbell, prune, sql, unstarted
from ledger.chords import Chords
from ledger.claim import UNREACHABLE
from ledger.lease import Worker, release
from ledger.results import Results
from ledger.states import ENDED_AS, State
from ledger.task import DurableTask, claim_of

log = logging.getLogger(__name__)


class Refused(Exception):
    """The row belongs to another attempt by now, or has ended: nothing may follow."""


class LedgerBackend(Results, Chords, BaseBackend):
    """Celery's result backend on the ledger's tables."""

    supports_native_join = True
    supports_autoexpire = True  # the ledger prunes its rows itself
    persistent = True

    # The run whose end is being stored. The rest of its chain ends with it; a step that has
    # ended before, because somebody revoked it, is no reason to refuse that.
    _ending: str | None = None

    # --- how runs end

    def mark_as_done(
        self,
        task_id: str,
        result: Any,
        request: Any = None,
        store_result: bool = True,
        state: str = states.SUCCESS,
    ) -> None:
        """Commit the end of a run with its callbacks and its part of a chord."""
        held = claim_of(request)
        if held is None:
            store = store_result or bool(getattr(request, "chord", None))
            self._unless_refused(
                super().mark_as_done, task_id, result, request, store, state
            )
            return
        if held.transaction is not None:
            if request.children:
                held.store_children(columns.children(request) or "")
            if request.chord:
                self.on_chord_part_return(request, state, result)
        held.commit()

    def mark_as_failure(
        self,
        task_id: str,
        exc: BaseException,
        traceback: str | None = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """End a run with an exception; the body's open transaction is undone."""
        held = claim_of(request)
        if held is not None:
            held.rollback()
            if isinstance(exc, UNREACHABLE) and (held.completing or held.cut):
                # The body was fine; its changes, or its end, could not be stored. It runs
                # again.
                held.lost = True
                release(held.id, held.token)
                return
            if held.ended:
                log.error("%s had ended when it failed: %r", task_id, exc)
                return
            held.failing = True
        arguments = (
            task_id,
            exc,
            traceback,
            request,
            store_result,
            call_errbacks,
            state,
        )
        self._unless_refused(super().mark_as_failure, *arguments)

    def mark_as_revoked(
        self,
        task_id: str,
        reason: str = "",
        request: Any = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        """Cancel a run; a worker that was told by id only knows no more than that.

        What comes after it in a chain is cancelled with it. Celery leaves that open, and a
        chord that waits for the end of the chain would wait for ever.
        """
        error = TaskRevokedError(reason)
        if request is None and unstarted.end(task_id, error, State.CANCELLED):
            return

        backend: Any = self  # the types of Celery leave some of it out
        mark = super().mark_as_revoked

        def mark_all(task_id: str) -> None:
            mark(task_id, reason, request, True, state)
            backend._fail_chain(getattr(request, "chain", None), error, state=state)

        self._unless_refused(mark_all, task_id)

    def _unless_refused(self, mark: Any, task_id: str, *arguments: Any) -> None:
        """Do what Celery does at the end of a task, in one transaction.

        In a worker's main process nobody would catch an error, and the process would end:
        the run's lease does what could not be done here.
        """
        outer, self._ending = self._ending, task_id
        try:
            with transaction.atomic():
                mark(task_id, *arguments)
        except Refused:
            log.warning("late end of %s refused", task_id)
        except DatabaseError:
            if os.getpid() != Worker.main_process:
                raise
            log.exception("end of %s not stored", task_id)
        finally:
            self._ending = outer

    def _call_task_errbacks(self, request: Any, exc: Any, traceback: Any) -> None:
        """Call errbacks in a savepoint: the run has failed, whatever becomes of them."""
        try:
            with transaction.atomic():
                super()._call_task_errbacks(  # type: ignore[misc]  # not in its types
                    request, exc, traceback
                )
        except SoftTimeLimitExceeded:
            raise
        except Exception:
            log.exception("errbacks of %s undone", request.id)

    def cleanup(self) -> None:
        """Delete runs past their time, when `celery.backend_cleanup` says so."""
        for _ in prune.prune():
            pass

    # --- how results are stored

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **kwargs: Any,
    ) -> None:
        """Store a state and its result where the caller has the right to.

        Raises:
            Refused: if it is the run that is to end, and it has ended, or belongs to
                another attempt.
        """
        held = claim_of(request)
        if getattr(request, unstarted.ENDED, False) and request.id == task_id:
            return
        if getattr(request, "is_eager", False) and not self._stores_eager(request):
            return
        if held is not None and held.id == task_id:
            self._store_of_claim(held, result, state, traceback, request)
        elif state in self.READY_STATES:
            self._store_end(task_id, result, state, traceback, request)
        elif not (state == states.STARTED and self._is_durable(request)):
            self._store_progress(task_id, result, state, request)

    def _store_of_claim(
        self, held: Any, result: Any, state: str, traceback: Any, request: Any
    ) -> None:
        if held.ended:
            return  # stored with the end
        encoded = self.encode(result)
        if state not in self.READY_STATES:
            held.report(state, encoded)
        elif held.failing:
            ended = held.finish(
                State.FAILED,
                result=encoded,
                traceback=traceback,
                reason=columns.reason(result),
                children=columns.children(request),
            )
            if not ended:
                raise Refused(held.id)
        else:
            held.declared = (state, encoded, traceback)

    def _store_end(
        self, task_id: str, result: Any, state: str, traceback: Any, request: Any
    ) -> None:
        row = ENDED_AS[state]
        if request is None and self.app.current_worker_task:
            # The errbacks of a chord's body were enqueued by the chord's last member.
            children = columns.children(self.app.current_worker_task.request)
        else:
            children = columns.children(request)
        traceback = traceback and sql.storable(traceback)
        reason = "" if row == State.SUCCEEDED else sql.storable(columns.reason(result))
        values = [row.value, self.encode(result), traceback, children, reason]
        token = columns.token(request)
        own = token is not None and getattr(request, "id", None) == task_id
        if own and self._is_durable(request):
            # The parent of the pool: it may end the attempt that its own message started,
            # and cancel the call that its message is about, if nobody has started that.
            waiting = "OR state IN ('pending', 'queued') AND call_number = %s"
            number = request.headers.get(doorbell.CALL_NUMBER, 0)
            cancels = row == State.CANCELLED
            changed = sql.execute(
                f"""
                UPDATE ledger_taskrun
                SET state = %s, result = %s, traceback = %s, children = %s, reason = %s,
                    custom_state = '', lease_until = NULL, ended_at = {sql.now()}
                WHERE id = %s
                    AND (token = %s AND state = 'running' {waiting if cancels else ""})
                """,
                [*values, task_id, token, *([number] if cancels else [])],
            )
        else:
            changed = sql.execute(
                f"""
                INSERT INTO ledger_taskrun
                    ({", ".join(columns.OWN_COLUMNS)}, state, result, traceback, children, reason, ended_at)
                VALUES ({sql.placeholders(columns.OWN_COLUMNS)}, %s, %s, %s, %s, %s,
                    {sql.now()})
                ON CONFLICT (id) DO UPDATE
                SET state = excluded.state, result = excluded.result,
                    traceback = excluded.traceback, children = excluded.children,
                    reason = excluded.reason, ended_at = excluded.ended_at,
                    custom_state = '', lease_until = NULL
                WHERE ledger_taskrun.{sql.not_final()}
                """,
                [task_id, *columns.own(request), *values],
            )
        if not changed and task_id == self._ending:
            raise Refused(task_id)

    def _store_progress(
        self, task_id: str, result: Any, state: str, request: Any
    ) -> None:
        sql.execute(
            f"""
            INSERT INTO ledger_taskrun ({", ".join(columns.OWN_COLUMNS)}, state, custom_state, progress)
            VALUES ({sql.placeholders(columns.OWN_COLUMNS)}, 'running', %s, %s)
            ON CONFLICT (id) DO UPDATE
            SET custom_state = excluded.custom_state, progress = excluded.progress
            WHERE ledger_taskrun.{sql.not_final()}
            """,
            [task_id, *columns.own(request), state, self.encode(result)],
        )

    def _is_durable(self, request: Any) -> bool:
        task = self.app.tasks.get(getattr(request, "task", None))
        return isinstance(task, DurableTask)

    def _stores_eager(self, request: Any) -> bool:
        task = self.app.tasks.get(getattr(request, "task", None))
        return bool(getattr(task, "store_eager_result", False))
