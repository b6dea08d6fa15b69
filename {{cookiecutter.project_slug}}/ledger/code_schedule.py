"""The schedule in the code (`CELERY_BEAT_SCHEDULE`), as entries in the database.

The code is the truth about its own entries: they are added, changed and removed with it. An
administrator decides whether they are enabled; and entries that an administrator has made
are left alone.
"""

import logging
from typing import Any

from celery.schedules import crontab, maybe_schedule
from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import PeriodicTask, PeriodicTasks
from django_celery_beat.schedulers import ModelEntry
from kombu.utils.json import dumps

from ledger.claim import UNREACHABLE

log = logging.getLogger(__name__)

# The description of an entry that came from the code; what bears it leaves with the code.
FROM_CODE = (
    "From the code. Here it can be disabled; all else is set again when beat starts."
)

_KINDS = ("interval", "crontab", "solar", "clocked")
_OPTIONS = ("queue", "exchange", "routing_key", "priority")


def install(app: Any) -> None:
    """Make the database say what the code says, as far as it is the code's business.

    Args:
        app: whose `beat_schedule` is installed.
    """
    entries = declared(app)
    with transaction.atomic():
        _wait_for_other_beats()
        for name, entry in entries.items():
            try:
                with transaction.atomic():
                    _store(name, fields(app, **entry))
            except UNREACHABLE:
                raise
            except Exception:
                log.exception("entry %r of the schedule is not usable", name)
        for gone in PeriodicTask.objects.filter(description=FROM_CODE):
            if gone.name not in entries:
                log.info("entry %r left the code", gone.name)
                gone.delete()


def declared(app: Any) -> dict[str, Any]:
    """Return the entries of the code by name, as they are written there."""
    return {**_celerys_own(app), **app.conf.beat_schedule}


def unsaved(app: Any, name: str, entry: Any) -> Any:
    """Return an entry of the code as a `PeriodicTask` that is not in the database.

    Args:
        app: whose time zone holds for a crontab.
        name: of the entry.
        entry: as `declared` returns it.

    Raises:
        ValueError: for a schedule that the database cannot keep.
    """
    wanted = maybe_schedule(entry["schedule"], app=app)
    for schedule_type, model, kind in ModelEntry.model_schedules:
        if isinstance(wanted, schedule_type):
            kept = {kind: model.from_schedule(wanted), "one_off": kind == "clocked"}
            return PeriodicTask(
                name=name, task=entry["task"], description=FROM_CODE, **kept
            )
    raise ValueError(f"the database cannot keep {wanted!r}")


def fields(
    app: Any,
    *,
    task: str,
    schedule: Any,
    args: Any = (),
    kwargs: Any = None,
    options: Any = None,
) -> dict[str, Any]:
    """Return the columns of an entry.

    Args:
        app: whose time zone holds for a crontab.
        task: name of the task.
        schedule: seconds, a timedelta, or one of Celery's schedules.
        args: positional arguments.
        kwargs: keyword arguments.
        options: `expires`, in seconds from when a tick is due, `queue`, `exchange`,
            `routing_key`, `priority` and `headers`.

    Raises:
        ValueError: if the database cannot keep it as it is.
        TypeError: for a key that an entry does not have.
    """
    options = dict(options or {})
    expires = options.pop("expires", None)
    if expires is not None and not isinstance(expires, int):
        raise ValueError(f"expires: expected whole seconds, not {expires!r}")
    columns = {name: options.pop(name, None) for name in _OPTIONS}
    headers = options.pop("headers", None)
    if options:
        raise ValueError(f"the database cannot keep the options {sorted(options)}")
    wanted = maybe_schedule(schedule, app=app)
    stored, kind = ModelEntry.to_model_schedule(wanted)
    stored.refresh_from_db()
    if stored.schedule != wanted:
        raise ValueError(f"the database cannot keep {wanted!r}: {stored}")
    return {
        "task": task,
        **dict.fromkeys(_KINDS),
        kind: stored,
        "one_off": kind == "clocked",
        "args": dumps(list(args)),
        "kwargs": dumps(kwargs or {}),
        "headers": dumps(headers or {}),
        "expire_seconds": expires,
        **columns,
    }


def _store(name: str, wanted: dict[str, Any]) -> None:
    """Write an entry if it is new or has changed.

    Its last tick stays, so that what was missed during the deploy is made up for; but with
    another schedule it begins anew.
    """
    wanted = {**wanted, "description": FROM_CODE}
    entry = PeriodicTask.objects.filter(name=name).first()
    if entry is None:
        PeriodicTask.objects.create(name=name, **wanted)
        return
    changed = {key for key, value in wanted.items() if getattr(entry, key) != value}
    if changed & set(_KINDS):
        wanted["last_run_at"] = None
    if changed:
        PeriodicTask.objects.filter(pk=entry.pk).update(**wanted)


def _wait_for_other_beats() -> None:
    """Let one beat at a time compare and write; the lock ends with the transaction."""
    PeriodicTasks.objects.get_or_create(
        ident=1, defaults={"last_update": timezone.now()}
    )
    PeriodicTasks.objects.select_for_update().get(ident=1)


def _celerys_own(app: Any) -> dict[str, Any]:
    """Return the entry that Celery adds for result backends that must be cleaned."""
    name = "celery.backend_cleanup"
    if not app.conf.result_expires or app.backend.supports_autoexpire:
        return {}
    nightly = crontab("0", "4", app=app)
    return {
        name: {"task": name, "schedule": nightly, "options": {"expires": 12 * 3600}}
    }
