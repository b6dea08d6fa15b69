"""`manage.py generate task …`: write a task, a workflow or a domain, its tests first."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.env import BASE_DIR
from config.queues import QUEUES
from tools.contract.project import Project
from tools.scaffold import kinds
from tools.scaffold.staging import refuse_broken, staged


class Kind(NamedTuple):
    """One thing that can be generated.

    Attributes:
        help: what it is.
        files: yields their paths and texts.
        example: a command that generates one.
        required: names of its options that must be given.
        optional: names of those that need not.
    """

    help: str
    files: Callable[..., kinds.Files]
    example: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


KINDS = {
    "task": Kind(
        "a task, and a function of the service that it calls",
        kinds.task,
        "make task domain=billing name=charge_invoice queue=critical",
        ("domain", "name", "queue"),
        ("argument",),
    ),
    "periodic": Kind(
        "a task that the clock starts",
        kinds.periodic,
        "make periodic domain=billing name=close_day every=daily",
        ("domain", "name", "every"),
        ("queue",),
    ),
    "workflow": Kind(
        "tasks that follow one another",
        kinds.workflow,
        "make workflow name=month_end steps=close_books,file_books queue=fast",
        ("name", "steps", "queue"),
        ("domain", "argument"),
    ),
    "domain": Kind(
        "a table with its migration, admin page, factory and service",
        kinds.domain,
        "make domain name=billing model=Invoice",
        ("name", "model"),
    ),
}

OPTIONS = {
    "argument": "the id that it takes, such as invoice_id; default: what the name suggests",
    "domain": "module of app/services, such as billing",
    "every": ", ".join(kinds.PERIODS),
    "model": "the table, such as Invoice",
    "name": "such as charge_invoice",
    "queue": ", ".join(queue.name for queue in QUEUES),
    "steps": "names of its tasks, in their order, joined by commas",
}


_UNMADE = re.compile(rf"def (\w+)_id\(.*\n.*\n.*{kinds.NO_FACTORY}")


class Command(BaseCommand):
    """Write failing tests, a stub of the service and the whole task."""

    help = "Write failing tests, a stub of the service, and the task that calls it."
    requires_system_checks = ()
    root = BASE_DIR

    def add_arguments(self, parser: CommandParser) -> None:
        kinds_of = parser.add_subparsers(dest="kind", required=True)
        for name, kind in KINDS.items():
            added = kinds_of.add_parser(name, help=kind.help)
            for option in (*kind.required, *kind.optional):
                required = option in kind.required
                added.add_argument(
                    f"--{option}", required=required, help=OPTIONS[option]
                )
            added.add_argument(
                "--dry-run", action="store_true", help="print the diff, write nothing"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        kind = KINDS[options["kind"]]
        if missing := [name for name in kind.required if not options[name]]:
            raise CommandError(
                f"{', '.join(missing)}: expected a value, as in:\n  {kind.example}"
            )
        accepted = (*kind.required, *kind.optional)
        given = {name: options[name] for name in accepted if options[name]}
        refuse_broken(Project(self.root))
        files = list(kind.files(self.root, **given))
        self._say_what_is_new([path for path, _ in files])
        with staged(self.root) as staging:
            for path, text in files:
                staging.add(path, text)
            if options["kind"] == "domain":
                staging.run("manage", "makemigrations", "app", "--no-header")
            staging.format()
            staging.run("tools.docs")
            if options["dry_run"]:
                self.stdout.write(staging.diff(), ending="")
                return
            changes = staging.changes()
            staging.apply()
        if not changes:
            self.stdout.write("It exists already, unchanged.")
            return
        for path, (old, _) in changes.items():
            self.stdout.write(f"{'new    ' if old is None else 'changed'}  {path}")
        self._say_what_is_next([path for path, _ in files])
        domain = Path(_service([path for path, _ in files])).stem
        self._say_what_is_missing(domain, changes.values())

    def _say_what_is_new(self, paths: list[str]) -> None:
        """Show a domain that is new, because it may be a mistyped one."""
        service = Path(_service(paths))
        if not (self.root / service).exists():
            known = ", ".join(kinds.domains(self.root)) or "none"
            self.stdout.write(f"new domain: {service.stem} (domains: {known})")

    def _say_what_is_next(self, paths: list[str]) -> None:
        tests = dict.fromkeys(path for path in paths if "/test_" in path)
        service = _service(paths)
        says = f"tests/{service.replace('services/', 'services/test_')}"
        self.stdout.write(f"""
Next:
  1. say in {says} what it should do
  2. see that fail:
     make unit PYTEST_ARGS="{' '.join(tests)}"
  3. write it in {service}, until that passes""")

    def _say_what_is_missing(
        self, domain: str, changes: Iterable[tuple[str | None, str]]
    ) -> None:
        """Show the new fixtures that return a key of nothing."""
        subjects = {
            subject
            for old, new in changes
            for subject in {*_UNMADE.findall(new)} - {*_UNMADE.findall(old or "")}
        }
        for subject in sorted(subjects):
            model = subject.title().replace("_", "")
            self.stdout.write(f"""
There is no factory for {subject}_id: let the fixtures of that name create a row. They do so
by themselves if you first `make domain name={domain} model={model}`,
or name with argument=… what has a factory.""")


def _service(paths: list[str]) -> str:
    return next(path for path in paths if path.startswith("app/services/"))
