"""The generator in a fresh project, as its README teaches it and as its help lists it.

Each kind of generation leaves a project whose style, types, layers and contract are clean,
whose new tests fail only because the service is not written, and pass when it is.
"""

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.baking import bake
from tests.test_quality import VENV, environment, run

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("samples", ["yes", "no"])]

PYTHON = f"{VENV}/bin/python"

FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

COMMANDS = (
    "make task domain=parcels name=weigh_parcel queue=io",
    "make task domain=parcels name=label_parcel queue=fast",
    "make task domain=parcels name=route_parcel queue=cpu",
    "make periodic domain=parcels name=count_parcels every=hourly",
    "make workflow name=dispatch domain=parcels steps=wrap_parcel,post_parcel queue=io",
)

SERVICE = '''\
"""Parcels."""

from app.services import notification
from app.services.errors import PermanentError


def weigh_parcel(parcel_id: int, *, idempotency_key: str) -> str:
    return _tell(parcel_id)


def label_parcel(parcel_id: int) -> str:
    return _tell(parcel_id)


def route_parcel(parcel_id: int) -> str:
    return _tell(parcel_id)


def count_parcels() -> str:
    return _tell(1)


def wrap_parcel(dispatch_id: int, *, idempotency_key: str) -> str:
    return _tell(dispatch_id)


def post_parcel(dispatch_id: int, *, idempotency_key: str) -> str:
    return _tell(dispatch_id)


def _tell(number: int) -> str:
    if not number:
        raise PermanentError("no such parcel")
    if not notification.WebhookDelivery.objects.exists():
        notification.create("https://parcels.example/", "parcel.seen", {})
    return "done"
'''
OWN_KEY = "idempotency_key=self.idempotency_key"
GUARD = "if not notification.WebhookDelivery.objects.exists():"


@pytest.fixture
def project(tmp_path: Path, samples: str) -> Path:
    """A fresh bake with or without samples."""
    baked = bake(tmp_path, {"include_samples": samples})
    assert baked.exit_status == 0, baked.output
    return baked.root


def say(project: Path, command: str) -> None:
    """Run a command of the README, with the environment that all bakes share."""
    command = command.replace("make ", f"make VENV={VENV} ", 1)
    run(project, "sh", "-c", command.replace(".venv/bin/python", PYTHON))


def failures(project: Path, *tests: str) -> dict[str, str]:
    """Run tests; return what each that failed has said, by its name.

    Tests must be found, and none of them may fail before it starts.
    """
    report = project / "var" / "report.xml"
    command = [PYTHON, "-m", "pytest", f"--junit-xml={report}", *tests]
    finished = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True
    )
    assert finished.returncode in (0, 1), finished.stdout + finished.stderr
    cases = [*ElementTree.parse(report).iter("testcase")]
    assert cases and not [*ElementTree.parse(report).iter("error")]
    return dict(_failed(cases))


def _failed(cases: list[ElementTree.Element]) -> Iterator[tuple[str, str]]:
    for case in cases:
        for failure in case.iter("failure"):
            yield case.attrib["name"], failure.attrib["message"]


def assert_only_unwritten(failed: dict[str, str]) -> None:
    """See that tests failed, and all because of a service that is not written."""
    assert failed
    for name, message in failed.items():
        assert "NotImplementedError" in message, f"{name}: {message}"
        assert "is yet to be written" in message, f"{name}: {message}"


def blocks(project: Path) -> list[tuple[str, str]]:
    """Return kind and text of each block of the README's tutorial."""
    readme = (project / "README.md").read_text(encoding="utf-8")
    tutorial = readme.partition("\n## Add a task\n")[2].partition("\n## ")[0]
    return [
        (kind, re.sub(rf"^{indent}", "", text, flags=re.MULTILINE))
        for indent, kind, text in FENCE.findall(tutorial)
    ]


def test_tutorial_of_the_readme_is_true(project: Path) -> None:
    commands = [
        line.removeprefix("$ ")
        for kind, text in blocks(project)
        for line in text.splitlines()
        if kind == "console"
    ]
    field, test, service = (text for kind, text in blocks(project) if kind == "python")
    domain, migration, tidy, task, unit, unit_again, lint = commands
    model_file = project / "app/models/billing.py"
    test_file = project / "tests/app/services/test_billing.py"

    say(project, domain)
    created = "    created_at = models.DateTimeField(auto_now_add=True)\n"
    model = model_file.read_text()
    assert created in model
    model_file.write_text(model.replace(created, f"{created}    {field.strip()}\n"))
    say(project, migration)
    say(project, tidy)
    say(project, task)
    test_file.write_text(f"{test_file.read_text()}\n\n{test}")

    assert unit == unit_again
    failed = failures(project, *unit.split('"')[1].split())
    assert_only_unwritten(failed)
    assert "test_charged_invoice_says_when" in failed
    say(project, lint)

    (project / "app/services/billing.py").write_text(f'"""Billing."""\n\n{service}')
    say(project, unit)
    say(project, lint)
    run(project, PYTHON, "manage.py", "makemigrations", "--check")


def test_what_is_generated_is_clean_and_red_until_the_service_is_written(
    project: Path,
) -> None:
    own = ("tests/app", "-k", "parcel or dispatch")
    service = project / "app/services/parcels.py"

    for command in COMMANDS:
        say(project, command)

    say(project, "make lint")
    say(project, "make check")
    # the entry in the schedule, the page of the catalogue; and no task without its tests
    assert failures(project, "tests/config", "-k", "schedule or catalogue") == {}
    run(project, PYTHON, "-m", "pytest", "--collect-only", "tests")
    assert_only_unwritten(failures(project, *own))

    service.write_text(SERVICE)
    assert failures(project, *own) == {}

    assert GUARD in SERVICE
    service.write_text(SERVICE.replace(GUARD, "if True:"))
    # the task of the queue fast is atomic, so that this does no harm there
    assert set(failures(project, *own)) == {
        f"test_{task}_executed_twice_leaves_the_rows_of_once"
        for task in (
            "weigh_parcel",
            "route_parcel",
            "count_parcels",
            "wrap_parcel",
            "post_parcel",
        )
    }

    service.write_text(SERVICE)
    tasks = project / "app/tasks/parcels_tasks.py"
    assert OWN_KEY in tasks.read_text()
    tasks.write_text(tasks.read_text().replace(OWN_KEY, 'idempotency_key="always"'))
    assert set(failures(project, *own)) == {
        "test_weigh_parcel_executed_twice_hands_on_one_key"
    }
