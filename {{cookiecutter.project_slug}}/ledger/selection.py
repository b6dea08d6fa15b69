"""Which runs a person means: by state, task, queue, time and reason."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from ledger.models import TaskRun, TaskRunQuerySet

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is asked for; what is left out does not matter.

    Attributes:
        states: any of these.
        task: name of the task; `*` stands for anything.
        queue: name of the queue.
        since: ended at or after this; created, if it has not ended.
        until: ended before this; created, if it has not ended.
        reason: a part of the reason, in upper or lower case.
    """

    states: tuple[str, ...] = ()
    task: str = ""
    queue: str = ""
    since: datetime | None = None
    until: datetime | None = None
    reason: str = ""

    def __bool__(self) -> bool:
        return self != Selection()

    def runs(self) -> TaskRunQuerySet:
        """Return the runs, in no order."""
        chosen = Q()
        if self.states:
            chosen &= Q(state__in=self.states)
        if "*" in self.task:
            pattern = re.escape(self.task).replace(r"\*", ".*")
            chosen &= Q(name__regex=f"^{pattern}$")
        elif self.task:
            chosen &= Q(name=self.task)
        if self.queue:
            chosen &= Q(queue=self.queue)
        if self.since:
            chosen &= _moment("gte", self.since)
        if self.until:
            chosen &= _moment("lt", self.until)
        if self.reason:
            chosen &= Q(reason__icontains=self.reason)
        return TaskRunQuerySet(TaskRun).filter(chosen)


def moment(text: str) -> datetime:
    """Return the time that a person has typed.

    Args:
        text: an age such as `90s`, `15m`, `2h`, `3d` or `1w`, or a time in ISO 8601, in the
            time zone of the service unless it names another.

    Raises:
        ValueError: if it is neither.
    """
    age = re.fullmatch(r"(\d+)([smhdw])", text)
    if age:
        return timezone.now() - timedelta(seconds=int(age[1]) * _SECONDS[age[2]])
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r}: expected an age such as 90s, 15m, 2h, 3d or 1w, or a time such as "
            "2030-01-31 or 2030-01-31T08:00"
        ) from None
    return timezone.make_aware(parsed) if timezone.is_naive(parsed) else parsed


def _moment(comparison: str, value: datetime) -> Q:
    ended = Q(**{f"ended_at__{comparison}": value})
    created = Q(**{f"created_at__{comparison}": value})
    return ended | Q(ended_at__isnull=True) & created
