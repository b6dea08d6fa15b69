"""`DurableTask`: what an ordinary `@shared_task` is in this project.

`delay()` stores a row in the caller's transaction instead of sending a message, and a
worker claims the row before the body runs. Everything else (chains, groups, chords, links,
`retry`, `replace`, time limits) is Celery's own.
"""

import traceback
from typing import Any, ParamSpec, TypeVar
from uuid import NAMESPACE_URL, uuid5

from celery import Task, states
from celery.app.task import Context
from celery.canvas import Signature
from celery.exceptions import Ignore, Reject, Retry, TaskRevokedError
from celery.result import AsyncResult, allow_join_result
from django.db import transaction
from kombu.utils.json import dumps

from ledger import call, doorbell, enqueue, limits
from ledger.claim import Claim
from ledger.states import ENDED_AS, State

P = ParamSpec("P")
R = TypeVar("R", covariant=True)

# The attribute of `task.request` that holds the claim of the attempt.
CLAIM = "ledger_claim"


def claim_of(request: object) -> Claim | None:
    """Return the claim under which a request is executed, None if there is none."""
    held: Claim | None = getattr(request, CLAIM, None)
    return held


class DurableTask(Task[P, R]):
    """A task each of whose runs is a row of the ledger.

    Attributes:
        atomic: the body's changes to the database, its end and all that it enqueues commit
            together, so that they take effect exactly once. The body then runs in one
            transaction: keep it short, and on SQLite expect all other writers to wait.
        unique_key: a template that names arguments, such as `"invoice:{invoice_id}"`; of
            all calls with the same key, one at a time is active, and the others return its
            result. `apply_async(unique_key=…)` overrides it.
        idempotent: why a second run with the same arguments does no harm, for people:
            `"by nature: …"` or `"natural key: …"`. None where `atomic`, `unique_key` or the
            use of `idempotency_key` says it.
        idempotency_key: the same on every attempt; for effects outside the database.
        start_interval: seconds between two starts over all workers, from `rate_limit`;
            None for no limit.
    """

    abstract = True
    atomic = False
    unique_key: str | None = None
    idempotent: str | None = None
    Request = "ledger.request:LedgerRequest"
    # Else Celery does not tell the backend about failures and retries of such a task.
    store_errors_even_if_ignored = True
    start_interval: float | None = None

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Take `rate_limit` over from Celery, which would count it in each worker."""
        if cls.rate_limit:
            cls.start_interval, cls.rate_limit = limits.interval(cls.rate_limit), None

    @property
    def idempotency_key(self) -> str:
        """A UUID that is stable over crashes and retries of the current run.

        The name is part of it: a run that was replaced goes on under the same id.

        Raises:
            RuntimeError: if the task is called as a function, outside of any run.
        """
        if self.request.id is None:
            raise RuntimeError(f"{self.name} was called directly, so it has no run")
        return str(uuid5(NAMESPACE_URL, f"{self.name}:{self.request.id}"))

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Store a run in the caller's transaction; it starts after the commit.

        Takes what `celery.Task.apply_async` takes, and `unique_key`: if an active run has
        the same key, nothing is enqueued and the result is that run's.

        Returns:
            The result of the run.

        Raises:
            EncodeError: if the arguments are not JSON.
            TypeError: if the task does not take these arguments.
            ValueError: if its soft time limit exceeds the hard one.
        """
        app: Any = self.app
        if app.conf.task_always_eager:
            options.pop("unique_key", None)
            return super().apply_async(
                args,
                kwargs,
                task_id=task_id,
                producer=producer,
                link=link,
                link_error=link_error,
                shadow=shadow,
                **options,
            )
        naming: Any = self  # the types of Celery let shadow_name return nothing
        options |= {
            "task_id": task_id,
            "link": _listed(link),
            "link_error": _listed(link_error),
            "shadow": shadow or naming.shadow_name(args, kwargs, options),
        }
        prepared = call.prepare(self, args, kwargs, options)
        parent = app.current_worker_task
        held = claim_of(parent.request) if parent else None
        if held and held.id == prepared.id and not held.ended:
            held.next_call, run_id = prepared, prepared.id
        else:
            run_id = enqueue.insert(prepared)
        result: AsyncResult[R] = self.AsyncResult(run_id)
        result.ignored = prepared.options["ignore_result"]
        if parent and options.get("add_to_parent", True):
            parent.add_trail(result)
        return result

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Execute the body: once per run in a worker, as a function anywhere else."""
        request = self.request
        if request.called_directly or hasattr(request, CLAIM):
            return super().__call__(*args, **kwargs)
        if request.is_eager:
            return self._eagerly(request, args, kwargs)
        held = self._take(request, args, kwargs)
        eta = (request.headers or {}).get(doorbell.ETA, request.eta)
        request.update({CLAIM: held, "eta": eta})
        try:
            if self.atomic:
                held.open_transaction()
            # Not super().__call__, which would push a second request without the claim.
            result = self.run(*args, **kwargs)
            if held.next_call:
                raise Retry("retry(throw=False)")
        except Retry as retry:
            self._retry(held, retry)
            raise
        except Reject as reject:
            held.rollback()
            if reject.requeue:  # type: ignore[attr-defined]  # not in its types
                held.give_back()
            raise
        except Ignore:
            self._leave(held, request)
            raise
        except BaseException:
            held.rollback()
            raise
        self._succeed(held, request, result)
        return result

    def on_replace(self, sig: Signature[Any]) -> Any:
        """Enqueue the replacement and leave the run to it, in one transaction."""
        held = claim_of(self.request)
        if held:
            held.open_transaction()
            held.replacing = True
        elif self.request.is_eager:
            # Celery gets the result of what it has just executed, and forbids that.
            with allow_join_result():
                return super().on_replace(sig)
        return super().on_replace(sig)

    def _eagerly(self, request: Context, args: Any, kwargs: Any) -> R:
        """Execute the body without the ledger: nothing is stored but what it does itself."""
        request.update({CLAIM: None})
        if not self.atomic:
            return self.run(*args, **kwargs)
        with transaction.atomic():
            try:
                return self.run(*args, **kwargs)
            except Ignore as error:
                # No failure: what it did so far is kept, as in a worker.
                ignored = error
        raise ignored

    def _take(self, request: Context, args: Any, kwargs: Any) -> Claim:
        headers = request.headers or {}
        token = headers.get(doorbell.TOKEN)
        if token is None:
            # Sent by name, by another service or an older version: it has no row yet.
            token = str(request.id)
            enqueue.adopt(self.name, args, kwargs, request)
        call_number = headers.get(doorbell.CALL_NUMBER, 0)
        message = (str(request.id), token, call_number)
        if self.start_interval is None:
            held = Claim.take(*message)
        else:
            held = limits.claim(*message, name=self.name, interval=self.start_interval)
        if held is None:
            raise Ignore("nothing to claim: started by another message, or too early")
        if request.delivery_info:
            # Where Celery looks for it in retries; the message itself has none.
            request.delivery_info["priority"] = held.priority
        return held

    def _succeed(self, held: Claim, request: Context, result: Any) -> None:
        """End the run; what follows is enqueued by Celery after this, before the commit."""
        followed = bool(request.callbacks or request.chain or request.chord)
        stored: Any = None
        if not request.ignore_result or request.chord:
            backend = self.backend
            stored = backend.encode(backend.encode_result(result, states.SUCCESS))
        enqueued: list[Any] = request.children
        children = [child.as_tuple() for child in enqueued]
        held.completing = True
        if followed:
            held.open_transaction()
        accepted = held.finish(
            State.SUCCEEDED,
            result=stored,
            children=dumps(children) if children else None,
        )
        if not accepted:
            held.rollback()
            raise Ignore("late result refused: the run is no longer this worker's")
        if not followed:
            held.commit()

    def _retry(self, held: Claim, retry: Retry) -> None:
        """Write the retry that `retry()` has prepared; the body's changes are undone."""
        held.rollback()
        if held.next_call is None:
            raise Reject("Retry was raised, but not by retry()", requeue=False)
        held.hand_on(
            held.next_call,
            custom_state=states.RETRY,
            progress=self._encoded(retry.exc),
            traceback="".join(traceback.format_exception(retry)),
        )

    def _leave(self, held: Claim, request: Context) -> None:
        """End a run whose body raised Ignore: because of `replace()`, or by its own will."""
        if held.next_call:
            held.hand_on(held.next_call)
        elif held.replacing:
            held.replace()
        else:
            self._end_ignored(held, request)
        if held.ended:
            held.commit()
        else:
            held.rollback()  # too late: nothing that it enqueued may stay

    def _end_ignored(self, held: Claim, request: Context) -> None:
        """End the run as `update_state` said, else as cancelled: it must end somehow."""
        ignored = TaskRevokedError("ignored by the task itself")
        state, stored, traceback_text = held.declared or (
            states.REVOKED,
            self._encoded(ignored),
            None,
        )
        held.open_transaction()
        accepted = held.finish(
            ENDED_AS[state],
            result=stored,
            traceback=traceback_text,
            reason=str(ignored),
        )
        if not accepted:
            return
        backend: Any = self.backend  # the types of Celery leave some of it out
        if request.chord:
            backend.on_chord_part_return(request, state, ignored)
        backend._fail_chain(request.chain, ignored, state=states.REVOKED)

    def _encoded(self, error: Any) -> str | None:
        if error is None:
            return None
        return str(self.backend.encode(self.backend.prepare_exception(error)))


def _listed(value: Any) -> list[Any] | None:
    if value is None:
        return None
    return list(value) if isinstance(value, list | tuple) else [value]
