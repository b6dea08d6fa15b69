"""`manage.py runs`: see runs, start them again, stop them, forget them."""

import json
import sys
from argparse import ArgumentTypeError
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import click
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError
from django.db import OperationalError as DatabaseError
from kombu.exceptions import OperationalError

from config import queues
from config.celery import app
from ledger import prune, report
from ledger.cancel import cancel
from ledger.models import TaskRun, TaskRunQuerySet
from ledger.replay import NotReplayable, is_of_failed_chord, replay
from ledger.selection import Selection, moment
from ledger.states import ACTIVE, REPLAYABLE, State

# Runs that are read at once, and that a dry run shows.
ROWS_PER_BATCH = 200
ROWS_SHOWN = 20

REFUSED = "refused"


class Command(BaseCommand):
    """The operator's tools."""

    help = "List, show, replay, cancel and prune the runs of the ledger."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)

        listing = commands.add_parser("list", help="the newest runs, one per line")
        _add_filters(listing, State.values, limit=50)
        listing.add_argument("--json", action="store_true", help="print JSON")

        show = commands.add_parser("show", help="everything about one run")
        show.add_argument("id", metavar="ID")
        show.add_argument("--json", action="store_true", help="print JSON")

        again = commands.add_parser(
            "replay", help="start runs again that ended without success"
        )
        stop = commands.add_parser("cancel", help="end runs that have not started")
        stop.add_argument(
            "--terminate", action="store_true", help="stop running ones as well"
        )
        for command, states in ((again, REPLAYABLE), (stop, ACTIVE)):
            command.add_argument("ids", nargs="*", metavar="ID")
            _add_filters(command, sorted(state.value for state in states))

        forget = commands.add_parser("prune", help="delete runs past their time")
        for command in (again, stop, forget):
            command.add_argument(
                "--dry-run", action="store_true", help="only say what would be done"
            )
            command.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        app.loader.import_default_modules()
        act: Callable[..., None] = getattr(self, f"_{options['command']}")
        try:
            act(options)
        except (DatabaseError, InterfaceError) as error:
            first = str(error).partition("\n")[0]
            raise CommandError(f"the database cannot be reached: {first}") from None

    def _list(self, options: dict[str, Any]) -> None:
        newest = _selection(options).runs().order_by("-created_at", "pk")
        runs = newest[: options["limit"]]
        if options["json"]:
            self._print_json([report.summary(run) for run in runs])
        else:
            self._print(report.table(runs))

    def _show(self, options: dict[str, Any]) -> None:
        run = TaskRun.objects.filter(pk=options["id"]).first()
        if run is None:
            raise CommandError(f"ID: no run has the id {options['id']!r}")
        if options["json"]:
            self._print_json(report.details(run))
        else:
            self._print(report.page(run))

    def _replay(self, options: dict[str, Any]) -> None:
        runs = _chosen(options)
        if not options["ids"]:
            # Those without a queue come back with the run before them.
            runs = runs.filter(state__in=REPLAYABLE).exclude(queue="")

        def act(run: TaskRun) -> str:
            if run.state not in REPLAYABLE and run.state != State.SUCCEEDED:
                return f"not replayed: {run.state} already"
            chord_failed = is_of_failed_chord(run)
            if not replay(run):
                return "not replayed: somebody else was faster"
            return (
                "replayed, its chord has failed and stays so"
                if chord_failed
                else "replayed"
            )

        self._work_through(runs, act, options)

    def _cancel(self, options: dict[str, Any]) -> None:
        runs = _chosen(options)
        if not options["ids"]:
            runs = runs.active()

        def act(run: TaskRun) -> str:
            return cancel(run, terminate=options["terminate"])

        self._work_through(runs, act, options)

    def _prune(self, options: dict[str, Any]) -> None:
        total = prune.count()
        if options["dry_run"]:
            self._say({"would prune": total}, options)
            return
        deleted = 0
        with _progress(total, "prune") as bar:
            for rows in prune.prune():
                deleted += rows
                bar.update(rows)
        self._say({"pruned": deleted}, options)

    def _work_through(
        self,
        runs: TaskRunQuerySet,
        act: Callable[[TaskRun], str],
        options: dict[str, Any],
    ) -> None:
        """Act on each run as it was when the command began, and say what came of it."""
        oldest = runs.order_by("created_at", "pk")[: options["limit"]]
        seen = dict(oldest.values_list("pk", "call_number"))
        unknown = [id for id in options["ids"] if id not in seen]
        if options["dry_run"]:
            self._would(seen, options)
        else:
            outcomes: dict[str, list[str]] = defaultdict(list)
            with _progress(len(seen), options["command"]) as bar:
                for run in _as_seen(seen):
                    outcomes[_outcome(act, run)].append(run.id)
                    bar.update(1)
            self._say({outcome: len(ids) for outcome, ids in outcomes.items()}, options)
            refused = [
                ids for text, ids in outcomes.items() if text.startswith(REFUSED)
            ]
            if refused:
                raise CommandError(f"refused: {', '.join(_some(sum(refused, [])))}")
        if unknown:
            raise CommandError(f"ID: no run has the id {', '.join(unknown)}")

    def _would(self, seen: dict[str, int], options: dict[str, Any]) -> None:
        shown = list(seen)[:ROWS_SHOWN]
        if not options["json"]:
            runs = TaskRun.objects.in_bulk(shown)
            self._print(report.table(runs[id] for id in shown))
        self._say({f"would {options['command']}": len(seen)}, options)

    def _say(self, counts: dict[str, int], options: dict[str, Any]) -> None:
        if options["json"]:
            self._print_json(counts)
            return
        for outcome, count in counts.items():
            self.stdout.write(f"{outcome}: {count}")
        if not counts:
            self.stdout.write("no such runs")

    def _print(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.stdout.write(line)

    def _print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _some(ids: list[str]) -> list[str]:
    more = len(ids) - ROWS_SHOWN
    return [*ids[:ROWS_SHOWN], *([f"and {more} more"] if more > 0 else [])]


def _outcome(act: Callable[[TaskRun], str], run: TaskRun) -> str:
    try:
        return act(run)
    except NotReplayable as error:
        return f"{REFUSED}: {error}"
    except OperationalError as error:
        raise CommandError(f"the broker cannot be reached: {error}") from None


def _as_seen(seen: dict[str, int]) -> Iterator[TaskRun]:
    """Yield runs, some at a time; without those that have changed since they were chosen."""
    ids = list(seen)
    for start in range(0, len(ids), ROWS_PER_BATCH):
        found = TaskRun.objects.in_bulk(ids[start : start + ROWS_PER_BATCH])
        yield from (run for id, run in found.items() if run.call_number == seen[id])


def _chosen(options: dict[str, Any]) -> TaskRunQuerySet:
    selection = _selection(options)
    if not options["ids"] and not selection:
        raise CommandError(
            "ID: say which runs; accepted: one or more ids, or a filter "
            "(--state, --task, --queue, --since, --until, --reason)"
        )
    runs = selection.runs()
    return runs.filter(pk__in=options["ids"]) if options["ids"] else runs


def _selection(options: dict[str, Any]) -> Selection:
    return Selection(
        states=tuple(options["state"] or ()),
        task=options["task"],
        queue=options["queue"],
        since=options["since"],
        until=options["until"],
        reason=options["reason"],
    )


def _add_filters(
    parser: CommandParser, states: Sequence[str], limit: int | None = None
) -> None:
    parser.add_argument(
        "--state", action="append", choices=list(states), help="may be repeated"
    )
    parser.add_argument("--task", default="", help="its name; * stands for anything")
    parser.add_argument(
        "--queue", default="", choices=[queue.name for queue in queues.QUEUES]
    )
    when = "an age such as 15m, 2h or 3d, or a time such as 2030-01-31T08:00"
    parser.add_argument(
        "--since", type=_moment, metavar="TIME", help=f"ended at or after {when}"
    )
    parser.add_argument(
        "--until", type=_moment, metavar="TIME", help="ended before; the same"
    )
    parser.add_argument("--reason", default="", help="a part of the reason")
    parser.add_argument(
        "--limit", type=_number, default=limit, help="at most so many runs"
    )


def _moment(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _number(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(f"{text!r}: expected a number of runs, such as 100")
    return int(text)


def _progress(length: int, label: str) -> Any:
    """Return a bar on stderr; without a terminal, nothing is drawn."""
    drawn = sys.stderr.isatty()
    return click.progressbar(
        length=length, label=label, file=sys.stderr, hidden=not drawn
    )
