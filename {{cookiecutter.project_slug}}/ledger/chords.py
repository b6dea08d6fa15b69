"""Chords: the last member to end starts the body, in the transaction in which it ends.

A member is counted in the transaction that ends it, and so is the start of the body. There
is no moment at which the count is right and the body missing, or the other way round.
"""

import logging
from functools import partial
from typing import Any

from celery import states
from celery.app.task import Context
from celery.backends.base import BaseBackend
from celery.canvas import Signature, _chain, chord, group, maybe_signature
from celery.exceptions import ChordError, SoftTimeLimitExceeded
from celery.result import AsyncResult, GroupResult, result_from_tuple
from django.db import transaction
from kombu.utils.json import dumps, loads

from ledger import enqueue, sql
from ledger.models import TaskRun

log = logging.getLogger(__name__)


class MemberFailed(Exception):
    """A member of a header ended without success."""

    def __init__(self, id: str, error: Any) -> None:
        super().__init__(f"Dependency {id} raised {error!r}")
        self.error = error


class Chords(BaseBackend):
    """The part of the backend that synchronizes chords."""

    app: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._headers: dict[str, str | None] = {}

    def apply_chord(
        self, header_result_args: tuple[Any, ...], body: Signature[Any], **kwargs: Any
    ) -> None:
        """Remember the shape of a header until its size is known.

        The shape of the header is kept only if members are groups themselves; else the
        members' own positions say it. A generator is not touched: it is sent lazily.
        """
        group_id, results = header_result_args[:2]
        header = None
        if type(results) is list:  # a generator is wrapped in a subclass
            if any(isinstance(member, GroupResult) for member in results):
                header = dumps(self.app.GroupResult(*header_result_args).as_tuple())
        self._headers[group_id] = header

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Store the chord with the number of its members, in the transaction of these.

        It is known when the last one is about to be sent. A chord that is applied once
        more, with the same ids, has its members already.
        """
        if group_id not in self._headers:
            return  # a group of a chord that is stored already
        header = self._headers.pop(group_id)
        statement = """
            INSERT INTO ledger_chordrun (id, size, header)
            SELECT %s, %s, %s
            WHERE NOT EXISTS (SELECT 1 FROM ledger_taskrun WHERE group_id = %s)
            ON CONFLICT (id) DO NOTHING
            """
        parameters = [group_id, chord_size, header, group_id]
        enqueue.with_batch(partial(sql.execute, statement, parameters))

    def add_to_chord(self, chord_id: str, result: AsyncResult[Any]) -> None:
        """Let the chord wait for one member more (`Task.add_to_chord`)."""
        sql.execute(
            "UPDATE ledger_chordrun SET added = added + 1 WHERE id = %s", [chord_id]
        )

    def on_chord_part_return(
        self, request: Any, state: str, result: Any, **kwargs: Any
    ) -> None:
        """Count a member that has ended; start or fail the body after the last one.

        The lock of the UPDATE makes members count one after another, so that exactly one
        sees itself as the last, and sees what all others have stored.
        """
        group_id = getattr(request, "group", None)
        if not group_id or not request.chord:
            return
        # Part of the transaction that ends the member; a savepoint would cost two statements.
        with transaction.atomic(savepoint=False):
            counted = sql.fetch(
                """
                UPDATE ledger_chordrun SET done = done + 1 WHERE id = %s
                RETURNING done, size + added, header
                """,
                [group_id],
            )
            if not counted:
                return
            done, size, header = counted[0]
            if size is None or done < size:
                return
            sql.execute("DELETE FROM ledger_chordrun WHERE id = %s", [group_id])
            body = maybe_signature(request.chord, app=self.app)
            self._start_body(body, group_id, size, header)

    def _start_body(
        self, body: Any, group_id: str, size: int, header: str | None
    ) -> None:
        try:
            results = self._results(group_id, size, header)
            # A savepoint: the body may be refused, by its own arguments for example, and
            # then the chord fails while its last member still succeeds.
            with transaction.atomic():
                body.delay(results)
        except MemberFailed as error:
            self._fail_body(body, str(error), error.error)
        except SoftTimeLimitExceeded:
            raise  # that of the last member, which then has not ended, and runs again
        except Exception as error:
            log.exception("body of a chord not started: %s", body)
            self._fail_body(body, f"Callback error: {error!r}", error)

    def _fail_body(self, body: Any, message: str, cause: Any) -> None:
        error = ChordError(message)
        if isinstance(cause, BaseException):
            error.__cause__ = cause
        backend: Any = self
        try:
            raise error
        except ChordError:
            # In an except clause, because Celery takes the traceback from there.
            backend.chord_error_from_stack(body, error)
        for last in _last_tasks(body):
            sql.execute(
                """
                UPDATE ledger_taskrun SET name = %s, group_id = %s, group_index = %s
                WHERE id = %s
                """,
                [last.get("task"), last.group, last.group_index, last.id],
            )
            # Celery fails the body without a word to the chord around it, if there is
            # one, which would then wait for ever.
            self.on_chord_part_return(last, states.FAILURE, error)

    def _results(self, group_id: str, size: int, header: str | None) -> list[Any]:
        if header is None:
            members = TaskRun.objects.filter(group_id=group_id)
            runs = list(members.order_by("group_index", "created_at", "pk"))
            if len(runs) != size:
                raise LookupError(f"{len(runs)} of {size} members are known")
            return [self._value(run) for run in runs]
        restored: Any = result_from_tuple(loads(header), app=self.app)
        ids = _ids(restored)
        by_id = TaskRun.objects.in_bulk(ids)
        return [self._shaped(member, by_id) for member in restored.results]

    def _shaped(self, member: Any, by_id: dict[Any, TaskRun]) -> Any:
        if isinstance(member, GroupResult):
            return [self._shaped(inner, by_id) for inner in member.results or ()]
        return self._value(by_id[member.id])

    def _value(self, run: TaskRun) -> Any:
        backend: Any = self
        meta = backend.meta(run)
        if meta["status"] in states.PROPAGATE_STATES:
            raise MemberFailed(run.pk, meta["result"])
        return meta["result"]


def _last_tasks(body: Any) -> list[Context]:
    """Return the tasks by whose end a body ends, as requests that name their chord."""
    if isinstance(body, group):
        whole = Context({"id": body.id, "task": body.task})  # Celery fails that, too
        return [whole, *(last for task in body.tasks for last in _last_tasks(task))]
    if isinstance(body, _chain):
        return _last_tasks(body.tasks[-1]) if body.tasks else []
    if isinstance(body, chord):
        return _last_tasks(body.body)
    options = body["options"]
    last = {
        "id": options.get("task_id"),
        "task": body["task"],
        "group": options.get("group_id"),
        "group_index": options.get("group_index"),
        "chord": options.get("chord"),
    }
    return [Context(last)]


def _ids(result: Any) -> list[str]:
    if isinstance(result, GroupResult):
        return [id for member in result.results or () for id in _ids(member)]
    return [result.id]
