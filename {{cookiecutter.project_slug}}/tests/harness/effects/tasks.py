"""Small durable and plain tasks, from which the tests build every kind of canvas."""

import os
import signal
import time
from contextlib import suppress
from signal import SIGKILL
from typing import Any

import celery
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.result import AsyncResult
from celery.worker.control import control_command
from django.db import connection

from ledger.decorator import shared_task
from ledger.due import due_at
from ledger.models import TaskRun
from ledger.task import DurableTask
from tests.harness.effects.models import Effect


class Unpicklable(Exception):
    """An error that cannot be pickled, as those of many client libraries."""

    def __init__(self, message: str, extra: Any) -> None:
        super().__init__(message)
        self.extra = lambda: extra


def leave(task: celery.Task[Any, Any], key: str) -> None:
    """Record an effect of the task that is executing."""
    unique = task.idempotency_key if isinstance(task, DurableTask) else ""
    Effect.objects.create(
        key=key, run_id=task.request.id or "", attempt_key=unique, pid=os.getpid()
    )


@shared_task(bind=True)
def effect(self: DurableTask[..., str], key: str, seconds: float = 0) -> str:
    """Leave an effect, after some seconds of work."""
    if seconds:
        time.sleep(seconds)
    leave(self, key)
    return key


@shared_task(bind=True, base=celery.Task)
def plain_effect(self: celery.Task[[str], None], key: str) -> None:
    """Leave an effect, without the ledger."""
    leave(self, key)


@shared_task(bind=True, max_retries=1)
def due_effect(self: DurableTask[..., None], attempts: int = 1) -> None:
    """Leave an effect that says for when it runs; fail before so many have."""
    leave(self, due_at(self.request).isoformat())
    if Effect.objects.count() < attempts:
        raise self.retry(countdown=0)


@shared_task(bind=True)
def begin_then_work(self: DurableTask[..., str], key: str, seconds: float) -> str:
    """Leave an effect at the start, so that a test sees it, and one at the end."""
    leave(self, f"{key} begun")
    time.sleep(seconds)
    leave(self, f"{key} done")
    return key


@shared_task(bind=True, base=celery.Task, acks_late=True, reject_on_worker_lost=True)
def plain_begin_then_work(self: celery.Task[..., str], key: str, seconds: float) -> str:
    """Leave an effect at the start and one at the end, without the ledger."""
    leave(self, f"{key} begun")
    time.sleep(seconds)
    leave(self, f"{key} done")
    return key


@shared_task(bind=True, atomic=True)
def atomic_effect(self: DurableTask[..., str], key: str, seconds: float = 0) -> str:
    """Leave an effect that commits with the run."""
    leave(self, key)
    if seconds:
        time.sleep(seconds)
    return key


@shared_task(bind=True, atomic=True)
def atomic_begin_then_work(
    self: DurableTask[..., str], key: str, seconds: float
) -> str:
    """Leave an effect at the start and one at the end, which commit together."""
    leave(self, f"{key} begun")
    time.sleep(seconds)
    leave(self, f"{key} done")
    return key


@shared_task(bind=True, atomic=True)
def atomic_then_fail(self: DurableTask[..., None], key: str) -> None:
    """Leave an effect, and fail."""
    leave(self, key)
    raise ValueError(key)


@shared_task(bind=True, atomic=True)
def atomic_then_ignore(self: DurableTask[..., None], key: str) -> None:
    """Leave an effect, and end without a result."""
    leave(self, key)
    raise Ignore()


@shared_task(bind=True, atomic=True)
def atomic_then_enqueue(self: DurableTask[..., None], key: str, fail: bool) -> None:
    """Enqueue another task, and perhaps fail."""
    effect.delay(key)
    if fail:
        raise ValueError(key)


@shared_task()
def add(x: int, y: int) -> int:
    """Add two numbers."""
    return x + y


@shared_task(atomic=True)
def atomic_add(x: int, y: int) -> int:
    """Add two numbers in a transaction."""
    return x + y


@shared_task(base=celery.Task)
def plain_add(x: int, y: int) -> int:
    """Add two numbers, without the ledger."""
    return x + y


@shared_task()
def total(numbers: list[int]) -> int:
    """Add up a list."""
    return sum(numbers)


@shared_task(base=celery.Task)
def plain_total(numbers: list[int]) -> int:
    """Add up a list, without the ledger."""
    return sum(numbers)


@shared_task(bind=True)
def total_effect(self: DurableTask[..., int], numbers: list[int], key: str) -> int:
    """Add up a list, and leave an effect: the body of a chord."""
    leave(self, key)
    return sum(numbers)


@shared_task(bind=True, atomic=True)
def atomic_total_effect(
    self: DurableTask[..., int], numbers: list[int], key: str
) -> int:
    """Add up a list, and leave an effect that commits with the run."""
    leave(self, key)
    return sum(numbers)


@shared_task()
def echo(value: Any = None) -> Any:
    """Return the argument."""
    return value


@shared_task(base=celery.Task)
def plain_echo(value: Any = None) -> Any:
    """Return the argument, without the ledger."""
    return value


@shared_task()
def fail(message: str = "bad") -> None:
    """Fail."""
    raise ValueError(message)


@shared_task(base=celery.Task, bind=True, ignore_result=True)
def plain_unnoticed(self: celery.Task[..., None], key: str) -> None:
    """Leave an effect, without the ledger and without a result."""
    leave(self, key)


@shared_task(base=celery.Task)
def plain_fail(message: str = "bad") -> None:
    """Fail, without the ledger."""
    raise ValueError(message)


@shared_task(bind=True)
def fails_until(
    self: DurableTask[..., int], cure: str, value: int, key: str = ""
) -> int:
    """Fail until there is an effect of this name, then return a value."""
    if key:
        leave(self, key)
    if not Effect.objects.filter(key=cure).exists():
        raise ValueError(f"not {cure}")
    return value


@shared_task(base=celery.Task)
def plain_fails_until(cure: str, value: int) -> int:
    """Do the same, without the ledger."""
    if not Effect.objects.filter(key=cure).exists():
        raise ValueError(f"not {cure}")
    return value


@shared_task(ignore_result=True)
def ignored(value: Any) -> Any:
    """Return a value that nobody wants."""
    return value


@shared_task(ignore_result=True)
def ignored_failure() -> None:
    """Fail, though nobody wants to know."""
    raise ValueError("unwanted")


@shared_task(bind=True, atomic=True)
def calls_itself(self: DurableTask[..., None], depth: int = 1) -> None:
    """Leave an effect, and call this task as a function, which leaves one and fails."""
    leave(self, f"depth {depth}")
    if depth == 0:
        raise ValueError("bottom")
    with suppress(ValueError):
        self(depth - 1)


@shared_task(bind=True)
def errback(self: DurableTask[..., None], failed_id: str) -> None:
    """Leave an effect that names the run that failed (an errback of the old style)."""
    leave(self, f"errback {failed_id}")


@shared_task()
def new_errback(request: Any, exc: Any, traceback: Any) -> None:
    """Leave an effect that names the run and its error (an errback of the new style)."""
    Effect.objects.create(key=f"new errback {request.id} {exc!r}")


@shared_task()
def breaking_errback(request: Any, exc: Any, traceback: Any) -> None:
    """Break the transaction in which it is called."""
    for _ in range(2):
        Effect(pk=1, key="same").save(force_insert=True)


@shared_task(bind=True)
def cleans_up_after_a_query(self: DurableTask[..., None], seconds: float) -> None:
    """Let PostgreSQL wait; at the soft limit, leave an effect."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [seconds])
    except SoftTimeLimitExceeded:
        leave(self, "cleaned up")
        raise


@shared_task(bind=True, max_retries=5)
def retried(
    self: DurableTask[..., int], times: int, key: str = "", wait: float = 0
) -> int:
    """Ask for some retries, then return how many there were."""
    if key:
        leave(self, key)
    if self.request.retries < times:
        raise self.retry(exc=ValueError("not yet"), countdown=wait)
    return self.request.retries


@shared_task(bind=True, unique_key="once {key}", max_retries=5)
def once_per_key(self: DurableTask[..., str], key: str, retries: int = 0) -> str:
    """Leave an effect on each attempt of the one run that a key has at a time."""
    leave(self, key)
    if self.request.retries < retries:
        raise self.retry(countdown=60)
    return key


@shared_task(bind=True, atomic=True, max_retries=5)
def atomic_retried(self: DurableTask[..., int], times: int, key: str) -> int:
    """Leave an effect on each attempt, of which only the last one's stays."""
    leave(self, key)
    if self.request.retries < times:
        raise self.retry(countdown=0)
    return self.request.retries


@shared_task(bind=True, autoretry_for=(ValueError,), max_retries=2, retry_backoff=True)
def autoretried(self: DurableTask[..., int], times: int) -> int:
    """Fail some times with an error that is retried."""
    if self.request.retries < times:
        raise ValueError("not yet")
    return self.request.retries


@shared_task(bind=True)
def retried_unpicklable(self: DurableTask[..., str]) -> str:
    """Ask for a retry because of an error that cannot be pickled."""
    if self.request.retries == 0:
        raise self.retry(exc=Unpicklable("odd", 1), countdown=60)
    return "done"


@shared_task(bind=True)
def retried_quietly(self: DurableTask[..., str]) -> str:
    """Ask for a retry without stopping there."""
    if self.request.retries == 0:
        self.retry(countdown=0, throw=False)
    return f"after {self.request.retries}"


@shared_task(bind=True, ignore_result=True)
def retried_unseen(self: DurableTask[..., None], key: str) -> None:
    """Ask for a retry, though nobody wants the result."""
    leave(self, f"{key} {self.request.retries}")
    if self.request.retries == 0:
        raise self.retry(exc=ValueError("not yet"), countdown=60)


@shared_task(bind=True)
def replaced_by(self: DurableTask[..., Any], signature: Any) -> Any:
    """Replace this task by a signature."""
    return self.replace(celery.signature(signature, app=self.app))


@shared_task(bind=True, base=celery.Task)
def plain_replaced_by(self: celery.Task[..., Any], signature: Any) -> Any:
    """Replace this task, which the ledger does not know, by a signature."""
    return self.replace(celery.signature(signature, app=self.app))


@shared_task(bind=True)
def adds_to_chord(self: DurableTask[..., int], value: int) -> int:
    """Add another member to the chord of which it is one."""
    self.add_to_chord(add.s(value, 100))
    return value


@shared_task(bind=True)
def progressing(self: DurableTask[..., str], seconds: float = 0) -> str:
    """Report progress."""
    self.update_state(state="PROGRESS", meta={"done": 3})
    Effect.objects.create(key=str(self.AsyncResult(str(self.request.id)).info))
    time.sleep(seconds)
    return "done"


@shared_task(bind=True, atomic=True)
def atomic_progress_seen_elsewhere(self: DurableTask[..., Any]) -> Any:
    """Report progress from inside a transaction; return what others see of it."""
    self.update_state(state="PROGRESS", meta={"done": 3})
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT custom_state, progress FROM ledger_taskrun WHERE id = %s",
                [self.request.id],
            )
            return cursor.fetchone()
    finally:
        other.close()


@shared_task(bind=True, atomic=True)
def atomic_progressing(self: DurableTask[..., str], seconds: float = 0) -> str:
    """Report progress from inside a transaction."""
    self.update_state(state="PROGRESS", meta={"done": 3})
    time.sleep(seconds)
    return "done"


@shared_task(bind=True)
def ends_itself(self: DurableTask[..., None], state: str = "") -> None:
    """Set the final state itself, and raise Ignore."""
    if state:
        meta = {
            "exc_type": "ValueError",
            "exc_message": ["own"],
            "exc_module": "builtins",
        }
        self.update_state(state=state, meta=meta)
    raise Ignore()


@shared_task(bind=True, acks_late=True)
def rejected(self: DurableTask[..., bool], requeue: bool) -> bool:
    """Reject the message; the second time, return whether it was delivered again."""
    if requeue and (self.request.delivery_info or {}).get("redelivered"):
        return True
    raise Reject("not now", requeue=requeue)


@shared_task()
def not_json() -> object:
    """Return what no result backend can keep."""
    return object()


@shared_task()
def spawn(count: int) -> None:
    """Enqueue some children."""
    for number in range(count):
        add.delay(number, 1)


@shared_task()
def waits_for(id: str, disable_sync_subtasks: bool) -> Any:
    """Return the result of another run."""
    result: Any = AsyncResult(id)
    return result.get(timeout=1, disable_sync_subtasks=disable_sync_subtasks)


@shared_task()
def deaf(seconds: float) -> None:
    """Work through the soft time limit, as a loop in C does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    time.sleep(seconds)


@shared_task(bind=True)
def kill_own_process(self: DurableTask[..., None], key: str = "poison") -> None:
    """Leave an effect and kill the pool process, as the kernel does when memory is out."""
    leave(self, key)
    os.kill(os.getpid(), SIGKILL)


@shared_task(bind=True)
def kill_own_worker(
    self: DurableTask[..., None], key: str = "poison", beside: int = 0
) -> None:
    """Leave an effect and kill the worker with all its processes, as a container dies.

    Args:
        key: of the effect.
        beside: other runs to wait for, for some seconds, so that they die as well.
    """
    leave(self, key)
    deadline = time.monotonic() + 4
    while TaskRun.objects.running().count() <= beside and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(os.getpgrp(), SIGKILL)


@shared_task(bind=True)
def killed_once(self: DurableTask[..., int], value: int) -> int:
    """Kill the pool process on the first attempt, and return the value on the second."""
    first = not Effect.objects.filter(run_id=self.request.id).exists()
    leave(self, "killed once")
    if first:
        os.kill(os.getpid(), SIGKILL)
    return value


@shared_task(priority=6)
def unhurried() -> None:
    """Do nothing, after all that is more urgent."""


@shared_task(bind=True, rate_limit="10/s")
def limited(self: DurableTask[..., str], key: str) -> str:
    """Leave an effect, ten times a second over all workers."""
    leave(self, key)
    return key


@shared_task(base=celery.Task, rate_limit="10/s")
def plain_limited() -> None:
    """Do nothing, ten times a second in each worker."""


@control_command()
def stand_still(state: Any) -> None:
    """Keep the main thread of a worker from everything else."""
    time.sleep(3600)


@control_command()
def break_down(state: Any) -> None:
    """Let the main loop of a worker meet an error that nobody expects."""

    def fail() -> None:
        raise AssertionError("the main loop fails, as a test wants it")

    state.consumer.hub.call_soon(fail)
