"""How results are read: `AsyncResult` and `GroupResult` look at the rows of the ledger."""

import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from itertools import batched
from typing import Any

from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import GroupResult, ResultSet, result_from_tuple
from kombu.utils.json import dumps, loads

from ledger.models import GroupRun, TaskRun
from ledger.states import FINAL, SHOWN_AS, State

# Seconds between two looks of `get()`: short at first, then a fraction of the time waited.
FIRST_POLL_SECONDS = 0.002
POLL_FRACTION = 0.1


# Ids of one statement; databases limit its parameters.
IDS_PER_QUERY = 10_000

_PENDING: dict[str, Any] = {"status": states.PENDING, "result": None}

# What has just been read of many runs at once, by id.
_seen: ContextVar[dict[str, dict[str, Any]]] = ContextVar("ledger_seen", default={})


class Results(BaseBackend):
    """The part of the backend that reads and waits."""

    app: Any

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        seen = _seen.get()
        if task_id in seen:
            return seen[task_id]
        run = TaskRun.objects.filter(pk=task_id).first()
        if run is None:
            return dict(_PENDING)
        return self.meta(run)

    def task_result_exists(self, task_id: str) -> bool:
        """Return whether a run was enqueued and not forgotten, ended or not."""
        return TaskRun.objects.filter(pk=task_id).exists()

    def meta(self, run: TaskRun) -> dict[str, Any]:
        """Return a run as Celery describes results."""
        state = State(run.state)
        options = loads(run.options)
        final = state in FINAL
        shown = SHOWN_AS[state] if final else run.custom_state or SHOWN_AS[state]
        encoded: Any = run.result if final else run.progress
        return self.meta_from_decoded(
            {
                "task_id": run.id,
                "status": shown,
                "result": self.decode(encoded) if encoded else None,
                "traceback": run.traceback,
                "children": loads(run.children) if run.children else [],
                "date_done": run.ended_at,
                "name": run.name,
                "args": loads(run.args),
                "kwargs": loads(run.kwargs),
                "worker": run.worker,
                "retries": options.get("retries", 0),
                "queue": run.queue,
                "group_id": run.group_id,
                "parent_id": options.get("parent_id"),
            }
        )

    def get_many(
        self,
        task_ids: Iterable[str],
        timeout: float | None = None,
        interval: float | None = 0.5,
        no_ack: bool = True,
        on_message: Any = None,
        on_interval: Any = None,
        max_iterations: int | None = None,
        **kwargs: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield id and result of each task as soon as it has ended."""
        waiting = set(task_ids)
        started = time.monotonic()
        iterations = 0
        while waiting:
            for run in _ended(waiting):
                waiting.discard(run.pk)
                meta = self.meta(run)
                if on_message is not None:
                    on_message(meta)
                yield run.pk, meta
            iterations += 1
            if not waiting or iterations == max_iterations:
                return
            if on_interval is not None:
                on_interval()
            self._nap(started, timeout, interval)

    def wait_for_pending(  # type: ignore[override]  # fewer words for the same call
        self, result: Any, *, on_interval: Any = None, **options: Any
    ) -> Any:
        """Wait for a result, and look at its parents meanwhile: see `AsyncResult.get`.

        Celery asks for each parent by itself, which is a thousand statements where the
        parent is a header of a thousand members. This makes it one.
        """
        parents = {parent.id: parent for parent in _leaves(result.parent)}

        def look() -> None:
            unknown = [id for id, parent in parents.items() if parent._cache is None]
            seen = {id: dict(_PENDING) for id in unknown}
            seen |= {run.pk: self.meta(run) for run in _ended(unknown)}
            token = _seen.set(seen)
            try:
                on_interval()
            finally:
                _seen.reset(token)

        return super().wait_for_pending(
            result, on_interval=look if parents else on_interval, **options
        )

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Any = None,
    ) -> dict[str, Any]:
        """Wait until a task has ended, and return its result.

        Raises:
            TimeoutError: after `timeout` seconds.
        """
        started = time.monotonic()
        while True:
            meta = self.get_task_meta(task_id)
            if meta["status"] == states.SUCCESS:
                return meta
            # It raises what a parent raised, such as a member of a chord's header; that
            # comes before the ChordError of the body, which follows from it.
            if on_interval is not None:
                on_interval()
            if meta["status"] in self.READY_STATES:
                return meta
            self._nap(started, timeout, interval)

    def _nap(
        self, started: float, timeout: float | None, longest: float | None
    ) -> None:
        waited = time.monotonic() - started
        if timeout is not None and waited >= timeout:
            raise CeleryTimeoutError("The operation timed out.")
        nap = min(FIRST_POLL_SECONDS + waited * POLL_FRACTION, longest or 0.5)
        time.sleep(nap if timeout is None else min(nap, timeout - waited))

    def _forget(self, task_id: str) -> None:
        TaskRun.objects.finished().filter(pk=task_id).delete()

    def _save_group(self, group_id: str, result: GroupResult) -> GroupResult:
        GroupRun.objects.update_or_create(
            pk=group_id, defaults={"result": dumps(result.as_tuple())}
        )
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        saved = GroupRun.objects.filter(pk=group_id).first()
        if saved is None:
            return None
        return {"result": result_from_tuple(loads(saved.result), app=self.app)}

    def _delete_group(self, group_id: str) -> None:
        GroupRun.objects.filter(pk=group_id).delete()


def _ended(ids: Iterable[str]) -> list[TaskRun]:
    return [
        run
        for some in batched(ids, IDS_PER_QUERY)
        for run in TaskRun.objects.finished().filter(pk__in=some)
    ]


def _leaves(result: Any) -> Iterator[Any]:
    """Yield a result and its parents, and of groups their members."""
    while result is not None:
        if isinstance(result, ResultSet):
            for member in result.results or ():
                yield from _leaves(member)
        else:
            yield result
        result = result.parent
