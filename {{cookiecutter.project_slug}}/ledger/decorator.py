"""`shared_task` with the types of durable tasks; when it runs, it is Celery's own.

The types of Celery know neither `atomic=True` nor `self.idempotency_key`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

    from celery import Task

    from ledger.task import DurableTask

    P = ParamSpec("P")
    R = TypeVar("R")
    T = TypeVar("T", bound=Task[..., Any])

    @overload
    def shared_task(
        *, bind: Literal[True], base: None = ..., **options: Any
    ) -> Callable[
        [Callable[Concatenate[DurableTask[P, R], P], R]], DurableTask[P, R]
    ]: ...

    @overload
    def shared_task(
        *, bind: Literal[False] = ..., base: None = ..., **options: Any
    ) -> Callable[[Callable[P, R]], DurableTask[P, R]]: ...

    @overload
    def shared_task(
        *, base: type[T], **options: Any
    ) -> Callable[[Callable[..., Any]], T]: ...

    def shared_task(**options: Any) -> Any: ...

else:
    from celery import shared_task

__all__ = ["shared_task"]
