"""When the ticks of a schedule are due: the same answer on every host, at any time.

Due times follow from the schedule and the last tick alone. The clock of the process that
asks plays no part, so that any number of beats come to the same ones.
"""

from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from typing import Any

from celery.schedules import crontab
from celery.schedules import schedule as interval
from django.utils import timezone
from django_celery_beat.clockedschedule import clocked

# The header of a run that is a tick, with when that was due.
DUE_AT = "periodic_due_at"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# 29 February falls on a given weekday every 28 years, around 2100 every 40.
_SEARCH_DAYS = 41 * 366


def due_at(request: Any) -> datetime:
    """Return for which moment a task of the schedule runs.

    Args:
        request: `self.request` of the task.

    Returns:
        When its tick was due, on every attempt, however late; now, if it runs for another
        reason.
    """
    due = getattr(request, DUE_AT, None)
    return datetime.fromisoformat(due) if due else timezone.now()


def next_due(
    schedule: Any, after: datetime, *, origin: datetime = EPOCH
) -> datetime | None:
    """Return the first due time after a moment, None if there is none.

    - An interval is a grid of moments that begins at `origin`: it neither drifts, nor does
      a late tick move those that follow.
    - A crontab is due when a clock in its time zone shows what it asks for. A reading that
      the clock skips is due when the time has passed all the same (02:30 at 03:30). One that
      is repeated is due the first time only, but for a crontab of every hour: it goes on.
    - A clocked schedule is due at its one moment, even if it was made after that.

    Args:
        schedule: an interval, a crontab, or a clocked schedule.
        after: the last tick.
        origin: where the grid of an interval begins.

    Raises:
        ValueError: for any other kind of schedule, and an interval of nothing.
    """
    if isinstance(schedule, interval):
        known: Any = schedule  # its types leave `run_every` out
        step: timedelta = known.run_every
        if step <= timedelta(0):
            raise ValueError(f"an interval of {step} has no next tick")
        return origin + ((after - origin) // step + 1) * step
    if isinstance(schedule, crontab):
        return _next_moment(schedule, after)
    if isinstance(schedule, clocked):
        moment: datetime = schedule.clocked_time
        return moment if moment != after else None
    raise ValueError(f"{type(schedule).__name__} schedules are not supported")


def _next_moment(cron: Any, after: datetime) -> datetime | None:
    # A reading that is skipped before midnight is due after it.
    first = after.astimezone(cron.tz).date() - timedelta(days=1)
    for days in range(_SEARCH_DAYS):
        day = first + timedelta(days)
        if not (
            day.month in cron.month_of_year
            and day.day in cron.day_of_month
            and day.isoweekday() % 7 in cron.day_of_week
        ):
            continue
        for hour in sorted(cron.hour):
            if max(_moments(cron, day, hour, 59)) > after:
                found = [_moments(cron, day, hour, minute) for minute in cron.minute]
                later = [moment for moment in chain(*found) if moment > after]
                if later:
                    return min(later)
    return None


def _moments(cron: Any, day: date, hour: int, minute: int) -> list[datetime]:
    """Return the moments at which a clock's reading counts: one, or two if repeated."""
    reading = datetime.combine(day, time(hour, minute), cron.tz)
    moment, again = (reading.replace(fold=n).astimezone(UTC) for n in (0, 1))
    # Of a reading that is skipped, the second is the earlier one: there it means nothing.
    repeated = again > moment and len(cron.hour) == 24
    return [moment, again] if repeated else [moment]
