"""The right to execute a run, and to say how it ended.

Every statement here compares and sets in one step: its WHERE clause is the proof, and the
number of rows that it changed is the answer.
"""

import dataclasses
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

from config.env import env
from ledger import doorbell, sql
from ledger.call import COLUMNS, Call
from ledger.lease import Worker
from ledger.states import State

log = logging.getLogger(__name__)

T = TypeVar("T")

# What the database raises when it cannot be reached; the statement may be repeated.
UNREACHABLE = (OperationalError, InterfaceError)


# A run is suspected after so many crashes. A main process that dies takes all its runs with
# it, and only one of them is guilty: suspects of a queue are started one at a time, so that
# the guilty one crashes without them, and they are not blamed once more.
SUSPECT_CRASHES = 2


class Claim:
    """What one attempt of a run holds.

    Invariants:
    - There is one claim per start: `token` tells messages apart, `attempt` the starts that
      one message caused.
    - The run is ended, or handed on, through its claim at most once. A claim that lost its
      run (the lease ran out and another worker started) cannot change it any more.
    - While `transaction` is open, nothing that the claim wrote is visible to others.
    """

    def __init__(self, id: str, token: str, attempt: int, call_number: int) -> None:
        self.id = id
        self.token = token
        self.attempt = attempt
        self.call_number = call_number
        self.priority = 0
        self.transaction: transaction.Atomic | None = None
        # What `retry()` or `replace()` wants to happen with this run next.
        self.next_call: Call | None = None
        self.replacing = False
        # A final state that the body asked for with `update_state`, and its result.
        self.declared: tuple[str, Any, str | None] | None = None
        self.ended = False
        # Between the body's end and the commit: an error is then the database's.
        self.completing = False
        # The connection died under the open transaction: an error is then the database's.
        self.cut = False
        # Its end could not be stored: the run is left to run again.
        self.lost = False
        # The body has raised, and the backend is about to store that.
        self.failing = False
        self._progress_connection: Any = None

    @classmethod
    def take(cls, id: str, token: str, call_number: int = 0) -> "Claim | None":
        """Start an attempt.

        Of any number of messages about one run, one finds it waiting; all others, and those
        that come back after it has ended, find nothing to claim. Nor does a message that
        was published before the run was retried or replaced: it carries the old arguments.
        A suspect can be claimed only when the relay has rung for it, alone: a second
        message from an earlier ring must not start it beside others.

        Args:
            id: of the run.
            token: of the message.
            call_number: that the message was published for.

        Returns:
            None if there is nothing to claim.
        """
        mine = (token, Worker.name)
        rows = even_if_disconnected(
            lambda: sql.fetch(
                f"""
                UPDATE ledger_taskrun
                SET state = 'running', attempts = attempts + 1, crashes = crashes + 1,
                    token = %s, worker = %s, lease_until = {sql.from_now()},
                    started_at = {sql.now()}, custom_state = '', progress = NULL,
                    refused_since = NULL, reason = ''
                WHERE id = %s AND call_number = %s
                    AND (state = 'queued' OR state = 'pending' AND crashes < %s)
                    AND run_at <= {sql.now()}
                    AND (expires_at IS NULL OR expires_at > {sql.now()})
                RETURNING attempts, priority{sql.without_waiting_for_disk()}
                """,
                [*mine, env.LEDGER_LEASE_SECONDS, id, call_number, SUSPECT_CRASHES],
            )
        )
        if not rows:
            return None
        held = cls(id, token, rows[0][0], call_number)
        held.priority = rows[0][1]
        return held

    def finish(
        self,
        state: State,
        *,
        result: str | None = None,
        children: str | None = None,
        traceback: str | None = None,
        reason: str = "",
    ) -> bool:
        """End the run.

        The fence: a worker that was stopped past its lease comes back with a result for a
        run that somebody else has started, or ended, since. Token and attempt are then no
        longer its own. A run that is waiting again, but was not started, still is.

        Returns:
            Whether the end was accepted; if not, nothing must follow from it.
        """
        alone = not connection.in_atomic_block
        rows = self._write(
            lambda: sql.fetch(
                f"""
                UPDATE ledger_taskrun
                SET state = %s, result = %s, children = %s, traceback = %s, reason = %s,
                    crashes = 0, custom_state = '', lease_until = NULL,
                    ended_at = {sql.now()}
                WHERE {_FENCE}
                RETURNING id{sql.without_waiting_for_disk() if alone else ""}
                """,
                [
                    state.value,
                    result,
                    children,
                    traceback and sql.storable(traceback),
                    sql.storable(reason),
                    *self._fence(),
                ],
            )
        )
        self.ended = len(rows) == 1
        if not self.ended:
            log.warning("late result of %s refused", self.id)
        return self.ended

    def hand_on(
        self,
        call: Call,
        *,
        custom_state: str = "",
        progress: str | None = None,
        traceback: str | None = None,
    ) -> bool:
        """Let the run go on as another call of the same id: a retry, or a replacement.

        The token goes with the same fence, so that this attempt cannot end the run twice.

        Returns:
            Whether it was accepted.
        """
        call = dataclasses.replace(call, number=self.call_number + 1)
        state = call.first_state()
        changed = self._write(
            lambda: sql.execute(
                f"""
                UPDATE ledger_taskrun
                SET {sql.assign(COLUMNS)}, state = %s, custom_state = %s, progress = %s, traceback = %s,
                    run_at = {sql.from_now()}, expires_at = {sql.from_now()},
                    rung_at = {sql.now()}, token = '', lease_until = NULL,
                    crashes = 0, rings = 0, call_number = %s
                WHERE {_FENCE}
                """,
                [
                    *call.columns(),
                    state.value,
                    custom_state,
                    progress,
                    traceback and sql.storable(traceback),
                    call.delay,
                    call.expires_in,
                    call.number,
                    *self._fence(),
                ],
            )
        )
        self.ended = changed == 1
        if self.ended and state == State.QUEUED:
            doorbell.ring_on_commit([call])
        return self.ended

    def replace(self) -> None:
        """Leave the run to the tasks that `replace()` has just enqueued."""
        self.ended = self._move("state = 'replaced', token = '', crashes = 0")

    def give_back(self) -> None:
        """Let the same message start the run again: the broker delivers it once more."""
        self.ended = self._move("state = 'queued', token = '', crashes = 0")

    def report(self, custom_state: str, progress: str) -> bool:
        """Store progress under the fence; on PostgreSQL it is visible at once.

        In an open transaction it goes over a second connection there, because nobody could
        see it before the commit. SQLite has one writer only: it waits for the commit.
        """
        statement = f"""
            UPDATE ledger_taskrun SET custom_state = %s, progress = %s
            WHERE id = %s AND token = %s AND attempts = %s AND state = 'running'
            """
        parameters = [custom_state, progress, *self._fence()]
        if self.transaction is None or connection.vendor != "postgresql":
            return sql.execute(statement, parameters) == 1
        if self._progress_connection is None:
            self._progress_connection = connection.copy()
        with self._progress_connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return bool(cursor.rowcount == 1)

    def store_children(self, children: str) -> None:
        """Add what was enqueued after the end, in the transaction that ends the run."""
        sql.execute(
            "UPDATE ledger_taskrun SET children = %s WHERE id = %s", [children, self.id]
        )

    def open_transaction(self) -> None:
        """Make all that follows visible with the end of the run, or not at all."""
        if self.transaction is None:
            self.transaction = transaction.atomic()
            self.transaction.__enter__()

    def commit(self) -> None:
        """Commit what `open_transaction` began."""
        opened, self.transaction = self.transaction, None
        if opened is not None:
            try:
                opened.__exit__(None, None, None)
            except BaseException:
                self.ended = False
                raise

    def rollback(self) -> None:
        """Undo what `open_transaction` began; the run is then neither ended nor handed on."""
        opened, self.transaction = self.transaction, None
        if opened is None:
            return
        self.ended = False
        self.cut = getattr(connection.connection, "closed", False)
        try:
            transaction.set_rollback(True)
            opened.__exit__(None, None, None)
        except Exception:
            log.warning("connection dropped in a rollback", exc_info=True)
            connection.close()

    def close(self) -> None:
        """Give back what the claim holds besides the run."""
        self.rollback()
        if self._progress_connection is not None:
            self._progress_connection.close()
            self._progress_connection = None

    def _move(self, assignments: str) -> bool:
        statement = f"UPDATE ledger_taskrun SET {assignments}, lease_until = NULL WHERE {_FENCE}"
        return self._write(lambda: sql.execute(statement, self._fence())) == 1

    def _write(self, statement: Callable[[], T]) -> T:
        if self.transaction is not None:
            return statement()
        return even_if_disconnected(statement)

    def _fence(self) -> list[object]:
        return [self.id, self.token, self.attempt]


_FENCE = """id = %s AND token = %s AND attempts = %s
                    AND state IN ('running', 'queued', 'pending')"""


def even_if_disconnected(statement: Callable[[], T]) -> T:
    """Execute once more on a new connection if the old one is gone.

    A pool process keeps its connection; the first statement after the database restarted
    finds it dead. Comparing and setting twice is the same as once.
    """
    try:
        return statement()
    except UNREACHABLE:
        if connection.in_atomic_block:
            raise
        connection.close()
        return statement()
