"""`manage.py generate task …`: write a task, a workflow or a domain, its tests first."""

from collections.abc import Callable
from typing import Any, NamedTuple

from django.core.management.base import BaseCommand, CommandParser

from config.env import BASE_DIR
from config.queues import QUEUES
from tools.scaffold import kinds
from tools.scaffold.staging import Staging, staged


class Kind(NamedTuple):
    """One thing that can be generated.

    Attributes:
        help: what it is.
        files: yields their paths and texts.
        required: names of its options that must be given.
        optional: names of those that need not.
    """

    help: str
    files: Callable[..., kinds.Files]
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


KINDS = {
    "task": Kind(
        "a task, and a function of the service that it calls",
        kinds.task,
        ("domain", "name", "queue"),
        ("argument",),
    ),
    "periodic": Kind(
        "a task that the clock starts",
        kinds.periodic,
        ("domain", "name", "every"),
        ("queue",),
    ),
    "workflow": Kind(
        "tasks that follow one another",
        kinds.workflow,
        ("name", "steps", "queue"),
        ("domain", "argument"),
    ),
    "domain": Kind(
        "a table with its migration, admin page, factory and service",
        kinds.domain,
        ("name", "model"),
    ),
}

OPTIONS = {
    "argument": "the id that it takes; default: what the name suggests",
    "domain": "module of app/services, such as billing",
    "every": ", ".join(kinds.PERIODS),
    "model": "the table, such as Invoice",
    "name": "such as charge_invoice",
    "queue": ", ".join(queue.name for queue in QUEUES),
    "steps": "names of its tasks, in their order, joined by commas",
}


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
        accepted = (*kind.required, *kind.optional)
        given = {name: options[name] for name in accepted if options[name]}
        given |= {name: options[name] or "" for name in kind.required}
        files = list(kind.files(self.root, **given))
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

    def _say_what_is_next(self, paths: list[str]) -> None:
        tests = dict.fromkeys(path for path in paths if "/test_" in path)
        service = next(path for path in paths if path.startswith("app/services/"))
        says = f"tests/{service.replace('services/', 'services/test_')}"
        self.stdout.write(f"""
Next:
  1. say in {says} what it should do
  2. see that fail:
     make unit PYTEST_ARGS="{' '.join(tests)}"
  3. write it in {service}, until that passes""")
