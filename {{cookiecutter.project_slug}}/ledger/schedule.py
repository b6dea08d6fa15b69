"""Beat on the ledger: each tick is a row, and any number of beats come to the same ones.

    celery --app config beat        # on as many hosts as you like; none of them leads

`last_run_at` of an entry is the due time of its last tick. Whoever moves it on to the next
due time, in one compare-and-set, inserts that tick's run in the same transaction; all
others find it moved. What was missed while no beat ran, or no database, is made up for.

The database's clock decides what is due; those of the hosts only say how long to sleep.
"""

import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.db import connection, transaction
from django.db.models import DateTimeField, F, QuerySet, Value
from django.db.models.functions import Now
from django.db.models.lookups import LessThanOrEqual
from django_celery_beat.schedulers import DatabaseScheduler

from config.env import env
from ledger import code_schedule, enqueue, health, plain
from ledger.claim import UNREACHABLE
from ledger.due import DUE_AT, EPOCH, next_due
from ledger.models import TaskRun
from ledger.task import DurableTask

log = logging.getLogger(__name__)

# Ticks of one entry that are made up for in one transaction, before others have their turn.
TICKS_PER_STEP = 100

# Seconds until the next look: after the database did not answer, and after another beat was
# faster.
RETRY_SECONDS = 1.0
LOST_RACE_SECONDS = 0.1


def tick_id(entry: str, due: datetime) -> str:
    """Return the id of the run that is an entry's tick: the same wherever it is asked."""
    moment = due.astimezone(UTC).isoformat()
    return str(uuid5(NAMESPACE_URL, f"schedule:{entry}:{moment}"))


def due_times(entry: Any, after: datetime) -> Iterator[datetime]:
    """Yield when an entry is due after a moment, as its own limits allow.

    Args:
        entry: a `PeriodicTask`.
        after: the last tick.
    """
    schedule, start = entry.schedule, entry.start_time
    if start:
        after = max(after, start - timedelta(microseconds=1))
    due = next_due(schedule, after, origin=start or EPOCH)
    while due and not (entry.expires and due >= entry.expires):
        yield due
        if is_once(entry):
            return
        due = next_due(schedule, due, origin=start or EPOCH)


def is_once(entry: Any) -> bool:
    """Return whether an entry has one tick, after which it is disabled."""
    return bool(entry.one_off or entry.clocked_id)


class LedgerScheduler(DatabaseScheduler):  # type: ignore[misc]  # it has no types
    """django-celery-beat's scheduler, with its entries and admin, and ticks that are rows.

    It keeps nothing between two looks at the database: what the admin changes holds from
    the next one on, at most `CELERY_BEAT_MAX_LOOP_INTERVAL` seconds later.
    """

    _is_installed = False
    _is_closed = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._complaints: dict[str, str] = {}
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Leave it to the first tick, because the database may not answer yet."""

    def sync(self) -> None:
        """Write nothing: every tick is in the database already."""

    def close(self) -> None:
        """Remember that beat is to stop."""
        self._is_closed = True
        super().close()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Run what is due, and what was missed.

        Returns:
            Seconds until the next look.
        """
        try:
            if not self._is_installed:
                code_schedule.install(self.app)
                self._is_installed = True
            waits = [self._attend(entry) for entry in self._entries()]
        except Exception:
            if self._is_closed:
                # Celery's handler of SIGTERM closes, and raises SystemExit wherever that
                # may be. In a database driver another error can take its place.
                raise SystemExit from None
            log.warning("beat could not work, ticks wait", exc_info=True)
            connection.close()
            health.turned("the database does not answer")
            return RETRY_SECONDS
        health.turned()
        return float(min([*waits, self.max_interval]))

    def _entries(self) -> "QuerySet[Any]":
        """Return all entries, each with the time by the database's clock."""
        kinds = ("interval", "crontab", "solar", "clocked")
        found: Any = self.Model.objects.select_related(*kinds).order_by("pk")
        entries: QuerySet[Any] = found.annotate(database_time=Now())
        return entries

    def _attend(self, entry: Any) -> float:
        """Do what one entry wants; an error of its own must not stop the others.

        Returns:
            Seconds until it wants something again.
        """
        try:
            wait = self._catch_up(entry)
        except UNREACHABLE:
            raise
        except Exception as error:
            if self._complaints.get(entry.name) != repr(error):
                # With the error, because the log shows no text twice within seconds.
                log.exception(
                    "entry %r of the schedule cannot run: %r", entry.name, error
                )
            self._complaints[entry.name] = repr(error)
            return float(self.max_interval)
        self._complaints.pop(entry.name, None)
        return wait

    def _catch_up(self, entry: Any) -> float:
        now, last = entry.database_time, entry.last_run_at
        if not entry.enabled or last is None:
            self._begin(entry)
            return float(self.max_interval) if not entry.enabled else 0.0
        due = next(due_times(entry, last), None)
        if due is None:
            return float(self.max_interval)
        if due > now:
            return float((due - now).total_seconds())
        horizon = now - timedelta(seconds=env.LEDGER_CATCH_UP_SECONDS)
        if due <= horizon:
            won = self._skip(entry, due, horizon)
        else:
            missed = takewhile(lambda due: due <= now, due_times(entry, last))
            won = self._run(entry, list(islice(missed, TICKS_PER_STEP)))
        return 0.0 if won else LOST_RACE_SECONDS

    def _begin(self, entry: Any) -> None:
        """Count from now on, when an entry is new or enabled again.

        Ticks of the time in which it was disabled were not missed.
        """
        begins = entry.database_time if entry.enabled else None
        if entry.last_run_at != begins:
            found = self.Model.objects.filter(
                pk=entry.pk, enabled=entry.enabled, last_run_at=entry.last_run_at
            )
            found.update(last_run_at=begins)

    def _skip(self, entry: Any, due: datetime, horizon: datetime) -> bool:
        """Leave out ticks that were missed too long ago."""
        skipped = self._move_on(
            entry, to=horizon, ticks=0, enabled=entry.clocked_id is None
        )
        if skipped:
            log.warning(
                "ticks of %r from %s to %s are skipped: missed, and older than"
                " LEDGER_CATCH_UP_SECONDS=%s",
                *(entry.name, due, horizon, env.LEDGER_CATCH_UP_SECONDS),
            )
        return skipped

    def _run(self, entry: Any, dues: list[datetime]) -> bool:
        """Insert the runs of ticks that are due, unless another beat has.

        The move and the rows commit together, and their messages are sent after that: of a
        beat that dies in between, either nothing is left or all of it.
        """
        with transaction.atomic():
            won = self._move_on(
                entry, to=dues[-1], ticks=len(dues), enabled=not is_once(entry)
            )
            if won:
                self._insert(entry, dues)
        if won:
            log.info("%d ticks of %r, the last due %s", len(dues), entry.name, dues[-1])
        return won

    def _move_on(self, entry: Any, *, to: datetime, ticks: int, enabled: bool) -> bool:
        """Move an entry's last tick on, if nobody has since it was read.

        The WHERE clause is the proof: of all beats that read the same last tick, one
        changes it; nobody does before the due time has come by the database's clock, nor
        once the entry is disabled or deleted.
        """
        has_come = LessThanOrEqual(Value(to, output_field=DateTimeField()), Now())
        changed = self.Model.objects.filter(
            has_come, pk=entry.pk, enabled=True, last_run_at=entry.last_run_at
        ).update(
            last_run_at=to,
            total_run_count=F("total_run_count") + ticks,
            enabled=enabled,
        )
        return bool(changed == 1)

    def _insert(self, entry: Any, dues: Iterable[datetime]) -> None:
        """Insert one run per tick.

        What has a row has been run: an admin who saves an entry while it ticks may write
        an older `last_run_at` back.
        """
        ids = {tick_id(entry.name, due): due for due in dues}
        found = TaskRun.objects.filter(pk__in=ids).values_list("pk", flat=True)
        known = set(found)
        stored = self.Entry(entry, app=self.app)
        task = self.app.tasks.get(stored.task)
        with enqueue.batch():
            for id, due in ids.items():
                if id in known:
                    continue
                options = self._options(entry, stored.options, due)
                if isinstance(task, DurableTask):
                    task.apply_async(stored.args, stored.kwargs, task_id=id, **options)
                else:
                    plain.send_later(
                        stored.task, stored.args, stored.kwargs, options, id
                    )

    def _options(
        self, entry: Any, options: dict[str, Any], due: datetime
    ) -> dict[str, Any]:
        headers = {
            **options["headers"],
            "celery_beat_task": True,
            DUE_AT: due.isoformat(),
        }
        options = {**options, "headers": headers}
        if entry.expire_seconds is not None:
            # Counted from when it was due, however late it is made up for.
            late = (entry.database_time - due).total_seconds()
            options["expires"] = entry.expire_seconds - late
        return options
