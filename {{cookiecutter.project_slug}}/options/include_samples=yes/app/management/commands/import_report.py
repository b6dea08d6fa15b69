"""`manage.py import_report junit.xml`: import a test report and print its summary."""

import sys
import time
from pathlib import Path
from typing import Any

import click
from django.core.management.base import BaseCommand, CommandError, CommandParser

from app.models import Report
from app.services import imports
from app.workflows.data_pipeline import orchestrator

State = Report.State

POLL_SECONDS = 0.2
PERCENT = 100


class Command(BaseCommand):
    """Store the file, have the workers import it, watch, and print what came out."""

    help = "Import a JUnit XML report through the workers and print its summary."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="the JUnit XML file")
        parser.add_argument(
            "--timeout",
            type=float,
            default=300,
            metavar="SECONDS",
            help="how long to wait for the workers (default: 300)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        report = _store(options["path"])
        if report.state == State.DONE:
            self.stdout.write(f"{report.name} has been imported before.\n\n")
        else:
            _watch(report, options["timeout"])
        if report.summary is None:
            raise CommandError(f"{report.name} was not imported: {report.error}")
        for line in summary_lines(report.summary, _elapsed(report)):
            self.stdout.write(line)


def summary_lines(summary: imports.Summary, elapsed: float) -> list[str]:
    """Return a summary for a terminal.

    Args:
        summary: of the report.
        elapsed: seconds that its import took.

    Returns:
        Lines; the last one has the counts and the time.
    """
    lines = []
    if summary["failures"]:
        count = summary["failed"] + summary["errored"]
        lines.append(f"Failures ({count}):")
        lines += [
            f"  {case['outcome']}  {_title(case['classname'], case['name'])}: "
            f"{_first_line(case['message'])}"
            for case in summary["failures"]
        ]
        lines += _more(count, len(summary["failures"]))
    if summary["slowest"]:
        lines.append(f"Slowest {len(summary['slowest'])}:")
        lines += [
            f"  {case['seconds']:9.3f} s  {_title(case['classname'], case['name'])}"
            for case in summary["slowest"]
        ]
    if summary["rejected"]:
        lines.append(f"Rejected ({summary['rejected']}):")
        lines += [
            f"  case {case['position']}  {case['name'] or '(no name)'}: {case['reason']}"
            for case in summary["rejected_cases"]
        ]
        lines += _more(summary["rejected"], len(summary["rejected_cases"]))
    if summary["flaky"]:
        lines.append(f"Flaky: {summary['flaky']} passed after a failed run")
    lines.append(f"Duration of all cases: {summary['seconds']:,.3f} s")
    lines.append(
        f"imported {summary['cases']} cases: {summary['passed']} passed, "
        f"{summary['failed']} failed, {summary['errored']} errored, "
        f"{summary['skipped']} skipped in {elapsed:.1f} s"
    )
    return lines


def _store(path: Path) -> Report:
    try:
        with path.open("rb") as file:
            return imports.store(file, path.name, start=orchestrator.start)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    except (imports.InvalidReport, imports.UploadTooLarge) as error:
        raise CommandError(f"{path}: {error}") from None


def _watch(report: Report, timeout: float) -> None:
    """Draw the progress on stderr until the import has ended; updates `report`."""
    deadline = time.monotonic() + timeout
    with click.progressbar(
        length=PERCENT, label=f"importing {report.name}", file=sys.stderr
    ) as bar:
        while report.state in (State.PENDING, State.RUNNING):
            if time.monotonic() > deadline:
                raise CommandError(_overdue(report, timeout))
            time.sleep(POLL_SECONDS)
            report.refresh_from_db()
            percent = int(PERCENT * imports.progress(report).fraction)
            bar.update(max(0, percent - bar.pos))


def _overdue(report: Report, timeout: float) -> str:
    if report.state == State.PENDING:
        cause = (
            "no worker has begun it; start `make run`, or workers for the queues `fast` "
            "and `cpu`, and it will be"
        )
    else:
        progress = imports.progress(report)
        total = progress.chunks_total or "?"
        cause = f"{progress.chunks_done} of {total} chunks are loaded; it goes on"
    return f"{report.name} is not imported after {timeout:g} s: {cause}"


def _title(classname: str, name: str) -> str:
    return f"{classname} {name}".strip()


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _more(count: int, listed: int) -> list[str]:
    return [f"  … and {count - listed} more"] if count > listed else []


def _elapsed(report: Report) -> float:
    if report.started_at is None or report.finished_at is None:
        return 0.0
    return (report.finished_at - report.started_at).total_seconds()
