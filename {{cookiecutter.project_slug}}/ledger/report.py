"""What a person reads of runs: a table of many, everything of one."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.utils import timezone
from kombu.utils.json import loads

from ledger import sql
from ledger.models import ChordRun, TaskRun

WIDEST_CELL = 60

# In the order in which they happen.
_MOMENTS = (
    *("created_at", "run_at", "rung_at", "refused_since", "started_at"),
    *("lease_until", "expires_at", "ended_at"),
)


def summary(run: TaskRun) -> dict[str, Any]:
    """Return what a list says of a run, as JSON can hold it."""
    return {
        "id": run.id,
        "state": run.state,
        "task": run.name,
        "queue": run.queue,
        "priority": run.priority,
        "attempts": run.attempts,
        "created_at": _iso(run.created_at),
        "ended_at": _iso(run.ended_at),
        "reason": run.reason,
    }


def details(run: TaskRun) -> dict[str, Any]:
    """Return everything about a run, as JSON can hold it."""
    options: dict[str, Any] = loads(run.options)
    return {
        **summary(run),
        "custom_state": run.custom_state,
        "arguments": loads(run.args),
        "keyword_arguments": loads(run.kwargs),
        "options": options,
        "unique_key": run.unique_key,
        "crashes": run.crashes,
        "rings": run.rings,
        "call_number": run.call_number,
        "worker": run.worker,
        "timeline": {
            name: _iso(getattr(run, name))
            for name in _MOMENTS
            if getattr(run, name) is not None
        },
        "result": loads(run.result) if run.result else None,
        "progress": loads(run.progress) if run.progress else None,
        "children": _states(_ids(loads(run.children)) if run.children else []),
        "chord": _chord(options),
        "traceback": run.traceback,
    }


def table(runs: Iterable[TaskRun]) -> Iterator[str]:
    """Yield a list of runs as aligned lines for a terminal."""
    rows = [["ID", "STATE", "TASK", "QUEUE", "ATTEMPTS", "CREATED", "REASON"]]
    for run in runs:
        said = summary(run)
        said["created"] = _local(run.created_at)
        rows.append([_cell(str(said[name.lower()])) for name in rows[0]])
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(cell.ljust(width) for cell, width in cells).rstrip()


def page(run: TaskRun) -> Iterator[str]:
    """Yield everything about a run as lines for a terminal; what is empty is left out."""
    said = details(run)
    longer = {name: said.pop(name) for name in ("traceback", "timeline", "children")}
    del said["created_at"], said["ended_at"]
    for name, value in said.items():
        if value not in (None, "", {}, []):
            yield f"{name + ':':<19}{pretty(value) if name != 'id' else value}"
    yield "timeline:"
    for name in longer["timeline"]:
        yield f"  {name + ':':<17}{_local(getattr(run, name))}"
    if longer["children"]:
        yield "children:"
        yield from (f"  {id}  {state}" for id, state in longer["children"].items())
    if longer["traceback"]:
        yield "traceback:"
        yield from (f"  {line}" for line in longer["traceback"].splitlines())


def pretty(value: Any) -> str:
    """Return a value as indented JSON; text and numbers as they are."""
    if not isinstance(value, dict | list):
        return sql.storable(str(value))
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return sql.storable(text)  # half a character could be neither printed nor sent


def _chord(options: dict[str, Any]) -> dict[str, Any] | None:
    """Return how far the chord is that a run is a member of."""
    body, group = options.get("chord"), options.get("group_id")
    if not body or not group:
        return None
    waiting = ChordRun.objects.filter(pk=group).first()
    body_id = (body.get("options") or {}).get("task_id")
    return {
        "id": group,
        "body": body.get("task"),
        "body_id": body_id,
        "body_state": _states([body_id]).get(body_id) if body_id else None,
        "waits_for_members": bool(waiting),
        "members_done": waiting.done if waiting else None,
        "members": waiting.size + waiting.added if waiting and waiting.size else None,
    }


def _states(ids: list[str]) -> dict[str, str | None]:
    runs = TaskRun.objects.in_bulk(ids)
    return {id: runs[id].state if id in runs else None for id in ids}


def _ids(children: Any) -> list[str]:
    """Return the ids in what `AsyncResult.as_tuple` and `GroupResult.as_tuple` return."""
    found: list[str] = []
    for (id, _), members in children:
        found += _ids(members) if members else [id]
    return found


def _cell(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= WIDEST_CELL else line[: WIDEST_CELL - 1] + "…"


def _iso(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _local(value: datetime) -> str:
    return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")
