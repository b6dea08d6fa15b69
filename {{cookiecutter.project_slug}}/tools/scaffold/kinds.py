"""Which files each kind of generation writes."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from config import queues
from tools.scaffold import names
from tools.scaffold.rendering import render
from tools.scaffold.safety import Safety, of_queue

Files = Iterator[tuple[str, str]]

# What a fixture says that has no factory to make a row.
NO_FACTORY = "# no factory makes it: return the key of a row"

# When a new periodic task runs, and how long a tick may wait (seconds): edit both in
# config/schedule.py.
PERIODS = {
    "hourly": ('minute="40"', "3_600"),
    "daily": ('hour="4", minute="40"', "43_200"),
    "weekly": ('day_of_week="sun", hour="4", minute="40"', "259_200"),
    "monthly": ('day_of_month="2", hour="4", minute="40"', "604_800"),
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every kind of task needs.

    Attributes:
        root: of the project.
        domain: whose service does the work.
        function: name of the task and of the service's function.
        queue: name of the queue, whose limits it takes.
        argument: name of the argument; blank for none.
        module: where the task goes.
        task_docstring: of a new module of tasks.
        test_docstring: of the tests of it.
        safety: what makes a second execution harmless.
    """

    root: Path
    domain: str
    function: str
    queue: str
    argument: str
    module: str
    task_docstring: str
    test_docstring: str
    safety: Safety

    def __post_init__(self) -> None:
        known = [queue.name for queue in queues.QUEUES]
        names.one_of("queue", self.queue, known)
        names.distinct(domain=self.domain, name=self.function)
        if (self.root / "app" / "services" / self.domain).is_dir():
            raise CommandError(
                f"domain {self.domain!r}: app/services/{self.domain}/ is a package; "
                "expected a domain that is one module, or a new one"
            )

    def files(self) -> Files:
        """Yield path and text: tests of service and task, then service and task."""
        rendered = render("task", self._context())
        path = self.module.replace(".", "/")
        folder, _, module = path.rpartition("/")
        yield f"tests/app/services/test_{self.domain}.py", rendered["test_service"]
        yield f"tests/{folder}/test_{module}.py", rendered["test_task"]
        yield f"app/services/{self.domain}.py", rendered["service"]
        yield f"{path}.py", rendered["task"]

    def _context(self) -> dict[str, Any]:
        takes_key = self.safety.takes_key
        key = ["*", "idempotency_key: str"] if takes_key else []
        own = ["idempotency_key=self.idempotency_key"] if takes_key else []
        example = ['idempotency_key="key"'] if takes_key else []
        given = [self.argument] if self.argument else []
        typed = [f"{name}: int" for name in given]
        return {
            "domain": self.domain,
            "function": self.function,
            "sentence": names.words(self.function).capitalize(),
            "module": self.module,
            "queue": queues.by_name(self.queue),
            "argument": self.argument,
            **self.safety._asdict(),
            "factory": factory(self.root, self.domain, self.argument),
            "no_factory": NO_FACTORY,
            "task_docstring": self.task_docstring,
            "test_docstring": self.test_docstring,
            "service_parameters": ", ".join([*typed, *key]),
            "call_arguments": ", ".join([*given, *own]),
            "example_arguments": ", ".join([*given, *example]),
            "unknown_arguments": ", ".join(["0", *example]),
        }


def task(
    root: Path, *, domain: str, name: str, queue: str, argument: str = ""
) -> Files:
    """Yield the files of a task that something in the service enqueues."""
    names.domain("domain", domain)
    names.function("name", name)
    argument = argument or default_argument(domain, name)
    names.argument("argument", argument)
    safety = of_queue(queue)
    if safety.takes_key:
        # The braces are for the ledger, which fills the argument in.
        unique_key = f'unique_key="{name}:' + "{" + argument + '}"'
        safety = safety._replace(declared=unique_key)
    yield from Task(
        root=root,
        domain=domain,
        function=name,
        queue=queue,
        argument=argument,
        module=f"app.tasks.{domain}_tasks",
        task_docstring=f"Tasks of the {domain} domain.",
        test_docstring=f"The tasks of the {domain} domain.",
        safety=safety,
    ).files()


def periodic(
    root: Path, *, domain: str, name: str, every: str, queue: str = "maintenance"
) -> Files:
    """Yield the files of a task that the clock starts, and its entry in the schedule."""
    names.domain("domain", domain)
    names.function("name", name)
    names.one_of("every", every, PERIODS)
    crontab, expires = PERIODS[every]
    module = f"app.tasks.periodic.{every}_tasks"
    _of_one_period(root, name, every)
    safety = of_queue(queue)
    if not safety.takes_key:
        reason = "by nature: a second run finds nothing left to do"
        safety = safety._replace(declared=f'idempotent="{reason}"')
    yield from Task(
        root=root,
        domain=domain,
        function=name,
        queue=queue,
        argument="",
        module=module,
        task_docstring=f"Tasks that run {every}.",
        test_docstring=f"{every.capitalize()} tasks.",
        safety=safety,
    ).files()
    context = {
        "every": every,
        "sentence": names.words(name),
        "module": module,
        "function": name,
        "crontab": crontab,
        "expires": expires,
    }
    yield "config/schedule.py", render("periodic", context)["schedule"]


def workflow(
    root: Path,
    *,
    name: str,
    steps: str,
    queue: str,
    domain: str = "",
    argument: str = "",
) -> Files:
    """Yield the files of a chain of tasks: one module per step, and their order."""
    names.function("name", name)
    domain = names.domain("domain", domain or name)
    argument = names.argument("argument", argument or f"{name}_id")
    ordered = [step.strip() for step in steps.split(",")]
    for step in ordered:
        names.function("steps", step)
    taken = {f"steps[{index}]": step for index, step in enumerate(ordered, start=1)}
    names.distinct(**{"a module of the workflow": "orchestrator"}, **taken)
    package = f"app/workflows/{name}"
    if (root / f"{package}.py").exists():
        raise CommandError(f"name {name!r}: {package}.py exists; expected a new name")
    rendered = render(
        "workflow",
        {
            "workflow": name,
            "domain": domain,
            "steps": ordered,
            "argument": argument,
            "sentence": names.words(name).capitalize(),
            "in_words": ", then ".join(map(names.words, ordered)),
            "factory": factory(root, domain, argument),
            "no_factory": NO_FACTORY,
        },
    )
    yield f"tests/{package}/test_orchestrator.py", rendered["test_orchestrator"]
    for number, step in enumerate(ordered, start=1):
        yield from Task(
            root=root,
            domain=domain,
            function=step,
            queue=queue,
            argument=argument,
            module=f"app.workflows.{name}.{step}",
            task_docstring=f"Step {number} of {len(ordered)}: {names.words(step)}.",
            test_docstring=f"Step {number} of {len(ordered)}: {names.words(step)}.",
            safety=of_queue(queue),
        ).files()
    yield f"{package}/__init__.py", rendered["package"]
    yield f"{package}/orchestrator.py", rendered["orchestrator"]


def domain(root: Path, *, name: str, model: str) -> Files:
    """Yield the files of a domain: a table, its admin page, a factory and a service."""
    names.domain("name", name)
    names.model("model", model)
    if (path := _model_elsewhere(root, name, model)) is not None:
        raise CommandError(
            f"model {model!r}: expected another name; it exists in {path}"
        )
    model_words = names.words(model)
    rendered = render(
        "domain",
        {
            "domain": name,
            "model": model,
            "model_words": model_words,
            "model_name": model_words.replace(" ", "_"),
        },
    )
    yield f"tests/app/services/test_{name}.py", rendered["test_service"]
    yield f"tests/factories/{name}.py", rendered["factory"]
    yield f"app/services/{name}.py", rendered["service"]
    yield f"app/models/{name}.py", rendered["model"]
    yield "app/models/__init__.py", rendered["models"]
    yield f"app/admin/{name}.py", rendered["admin"]
    yield "app/admin/__init__.py", rendered["admins"]


def domains(root: Path) -> list[str]:
    """Return the domains that exist: the modules and packages of `app/services`."""
    services = root / "app" / "services"
    found = {path.parent.name for path in services.glob("*/__init__.py")}
    found |= {path.stem for path in services.glob("*.py")}
    return sorted(found - {"__init__", *names.NO_DOMAINS})


def default_argument(domain: str, name: str) -> str:
    """Return `invoice_id` for `charge_invoice`, and the domain's id for a single word."""
    verb, _, subject = name.rpartition("_")
    return f"{subject if verb else domain}_id"


def factory(root: Path, domain: str, argument: str) -> str:
    """Return the factory that makes what an argument names; blank if there is none."""
    wanted = argument.removesuffix("_id").replace("_", "") + "factory"
    for name in _defined(root / "tests" / "factories" / f"{domain}.py"):
        if name.lower() == wanted:
            return name
    return ""


def _of_one_period(root: Path, name: str, every: str) -> None:
    """Refuse a name that a task of another period has: it would call the same service."""
    for other in PERIODS:
        path = f"app/tasks/periodic/{other}_tasks.py"
        if other != every and name in _defined(root / path):
            raise CommandError(
                f"name {name!r}: expected another one; {path} has a task of this name"
            )


def _model_elsewhere(root: Path, domain: str, model: str) -> str | None:
    """Return the module of another domain that has a model of this name."""
    for path in sorted((root / "app" / "models").rglob("*.py")):
        found = path.relative_to(root).as_posix()
        if found != f"app/models/{domain}.py" and model in _defined(path):
            return found
    return None


def _defined(path: Path) -> list[str]:
    """Return the functions and classes of a module; none if it is missing."""
    if not path.exists():
        return []
    return [
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
