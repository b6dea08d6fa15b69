"""Which kinds of test a task must have."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import app.workflows
from app.tasks.notification_tasks import deliver_webhook
from tests.harness.effects.tasks import add, autoretried, progressing
from tests.helpers.required import (
    ALWAYS,
    AnyTask,
    Kind,
    reports_progress,
    required_kinds,
)

AddWorkflow = Callable[[str], object]


@pytest.fixture
def add_workflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AddWorkflow]:
    """Give `app.workflows` one module, whose code is given."""
    monkeypatch.setattr(app.workflows, "__path__", [str(tmp_path)])
    yield (tmp_path / "only_one.py").write_text
    sys.modules.pop("app.workflows.only_one", None)


def required_of_webhooks() -> frozenset[Kind]:
    return required_kinds()[deliver_webhook.name]


def test_tasks_are_those_of_the_app_alone() -> None:
    names = set(required_kinds())

    assert deliver_webhook.name in names
    assert all(name.startswith("app.") for name in names)


def test_four_kinds_are_required_of_every_task() -> None:
    assert required_of_webhooks() == ALWAYS
    assert all(kinds >= ALWAYS for kinds in required_kinds().values())


@pytest.mark.parametrize(
    ("task", "reports"), [(progressing, True), (autoretried, False), (add, False)]
)
def test_progress_is_required_of_a_task_that_reports_it(
    task: AnyTask, reports: bool
) -> None:
    assert reports_progress(task) is reports


@pytest.mark.parametrize(
    "code",
    [
        "from app.tasks.notification_tasks import deliver_webhook as send\n"
        "def start(id): return send.si(id).delay()",
        "from app.tasks import notification_tasks\n"
        "STEPS = [notification_tasks.deliver_webhook.s]",
    ],
)
def test_workflow_is_required_of_a_task_that_a_workflow_names(
    add_workflow: AddWorkflow, code: str
) -> None:
    add_workflow(code)

    assert required_of_webhooks() == {*ALWAYS, Kind.WORKFLOW}


def test_workflow_is_not_required_of_a_task_whose_neighbour_a_workflow_names(
    add_workflow: AddWorkflow,
) -> None:
    add_workflow("from app.tasks import notification_tasks\nnotification_tasks.env")

    assert required_of_webhooks() == ALWAYS
