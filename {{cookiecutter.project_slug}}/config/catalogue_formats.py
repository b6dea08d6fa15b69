"""The catalogue of tasks as text: a table, Markdown, JSON and a Mermaid diagram."""

import dataclasses
import json
from collections.abc import Iterable, Sequence

from config import queues
from config.catalogue import Entry, Workflow

HEADINGS = (
    "Task",
    "Queue",
    "Limits (s)",
    "Retries",
    "Idempotency",
    "Tests",
    "Started by",
)
NOTHING = "–"


def _cells(entry: Entry) -> list[str]:
    limits = f"{entry.soft_time_limit:g} / {entry.time_limit:g}"
    most = "any number" if entry.max_retries is None else entry.max_retries
    retries = f"{most} after {', '.join(entry.retried)}" if entry.retried else ""
    started_by = [f"workflow {name}" for name in entry.workflows]
    cells = [entry.task, entry.queue, limits, retries, entry.idempotency]
    cells += [", ".join(entry.tests), ", ".join((*entry.schedule, *started_by))]
    return [cell or NOTHING for cell in cells]


def _short_cells(entry: Entry) -> list[str]:
    """Return what a terminal has room for; the page shows the rest."""
    task, queue, limits, retries, idempotency, _, started_by = _cells(entry)
    first_reason = idempotency.partition(";")[0]
    short = first_reason.partition(":")[0].partition(" of ")[0]
    tests = str(len(entry.tests) or NOTHING)
    started_by = started_by.replace("crontab ", "").replace("workflow ", "")
    most = retries.partition(" after ")[0]
    return [task, queue, limits, most, short, tests, started_by]


def table(entries: Iterable[Entry]) -> str:
    """Return aligned columns for a terminal: of retries and tests, only how many."""
    lines: list[Sequence[str]] = [HEADINGS, *map(_short_cells, entries)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def markdown(entries: Iterable[Entry]) -> str:
    """Return a Markdown table."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *map(_cells, entries)]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |"
        for line in lines
    )


def as_json(entries: Iterable[Entry]) -> str:
    """Return a JSON array with one object per task."""
    return json.dumps([dataclasses.asdict(entry) for entry in entries], indent=2)


def mermaid(entries: Sequence[Entry], workflows: Sequence[Workflow]) -> str:
    """Return a Mermaid flowchart: what starts a task, its queue, and the queue's worker.

    A dotted arrow leads from a step of a chain to the next one.
    https://mermaid.js.org/syntax/flowchart.html
    """
    lines = ["flowchart LR"]
    if any(entry.schedule for entry in entries):
        lines.append('clock(("clock"))')
    for workflow in workflows:
        lines.append(f'workflow_{workflow.name}[["workflow {workflow.name}"]]')
    for entry in entries:
        label = entry.task.rpartition(".")[2]
        lines.append(f'{_node(entry.task)}("{label}") --> queue_{entry.queue}')
    for workflow in workflows:
        start = f"workflow_{workflow.name}"
        lines += [f"{start} --> {_node(task)}" for task in workflow.tasks]
        lines += [f"{_node(one)} -.-> {_node(two)}" for one, two in workflow.then]
    lines += [f"clock --> {_node(entry.task)}" for entry in entries if entry.schedule]
    for queue in queues.QUEUES:
        processes = queue.concurrency or "one per core"
        lines.append(
            f'queue_{queue.name}[("queue {queue.name}")]'
            f' --> worker_{queue.name}["worker {queue.name}<br>processes: {processes}"]'
        )
    return "\n    ".join(lines)


def _node(task: str) -> str:
    return f"task_{task.replace('.', '_')}"
