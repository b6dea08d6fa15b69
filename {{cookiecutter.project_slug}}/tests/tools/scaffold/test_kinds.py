"""What is generated for which queue."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from tools.scaffold import kinds

Generate = Callable[[Path, str], dict[str, str]]

ASKS_OTHERS = ("critical", "io", "slow")
OWN_DATABASE = ("fast", "cpu", "maintenance")


def task(root: Path, queue: str) -> dict[str, str]:
    return dict(kinds.task(root, domain="tidy", name="wash_cup", queue=queue))


def periodic(root: Path, queue: str) -> dict[str, str]:
    return dict(
        kinds.periodic(root, domain="tidy", name="wash_cup", every="daily", queue=queue)
    )


def step(root: Path, queue: str) -> dict[str, str]:
    return dict(kinds.workflow(root, name="tidy", steps="wash_cup", queue=queue))


every_kind = pytest.mark.parametrize("generate", [task, periodic, step])


def decorator(files: dict[str, str]) -> dict[str, str]:
    """Return the options of the task, by name, as they are written."""
    [function] = [
        node
        for path, text in files.items()
        if path.startswith(("app/tasks/", "app/workflows/"))
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    ]
    [call] = function.decorator_list
    assert isinstance(call, ast.Call)
    return {str(item.arg): ast.unparse(item.value) for item in call.keywords}


def all_text(files: dict[str, str]) -> str:
    return "\n".join(files.values())


@every_kind
@pytest.mark.parametrize("queue", ASKS_OTHERS)
def test_task_that_may_ask_others_hands_on_its_key_and_holds_no_transaction(
    tmp_path: Path, generate: Generate, queue: str
) -> None:
    files = generate(tmp_path, queue)

    options = decorator(files)
    assert "atomic" not in options
    assert "idempotent" not in options
    assert options["max_retries"] == "NETWORK.max_retries"
    assert "idempotency_key=self.idempotency_key" in all_text(files)
    assert "hands_on_one_key" in all_text(files)


@every_kind
@pytest.mark.parametrize("queue", OWN_DATABASE)
def test_task_of_the_own_database_has_no_key_and_little_patience(
    tmp_path: Path, generate: Generate, queue: str
) -> None:
    files = generate(tmp_path, queue)

    assert decorator(files)["max_retries"] == "DATABASE.max_retries"
    assert "idempotency_key" not in all_text(files)


@pytest.mark.parametrize("generate", [task, step])
@pytest.mark.parametrize("queue", OWN_DATABASE)
def test_only_a_task_that_is_short_keeps_a_transaction_open(
    tmp_path: Path, generate: Generate, queue: str
) -> None:
    options = decorator(generate(tmp_path, queue))

    assert ("atomic" in options) == (queue == "fast")
    assert ("idempotent" in options) == (queue != "fast")


def test_only_a_call_that_something_may_repeat_gets_a_unique_key(
    tmp_path: Path,
) -> None:
    assert decorator(task(tmp_path, "io"))["unique_key"] == "'wash_cup:{cup_id}'"
    assert "unique_key" not in decorator(step(tmp_path, "io"))
    assert "unique_key" not in decorator(periodic(tmp_path, "io"))


def test_test_without_an_argument_says_that_it_needs_something_to_work_on(
    tmp_path: Path,
) -> None:
    assert "# first create what it works on" in all_text(periodic(tmp_path, "io"))
    assert "# first create what it works on" not in all_text(task(tmp_path, "io"))


def test_task_of_the_clock_that_another_period_has_is_refused(tmp_path: Path) -> None:
    daily = tmp_path / "app/tasks/periodic/daily_tasks.py"
    daily.parent.mkdir(parents=True)
    daily.write_text("def close_day() -> str: ...\n")
    close_day = {"domain": "tidy", "name": "close_day"}

    assert dict(kinds.periodic(tmp_path, **close_day, every="daily"))
    with pytest.raises(
        CommandError,
        match="^name 'close_day': expected another one; app/tasks/periodic/daily_tasks"
        ".py has a task of this name$",
    ):
        dict(kinds.periodic(tmp_path, **close_day, every="weekly"))


def test_model_that_another_domain_has_is_refused(tmp_path: Path) -> None:
    models = tmp_path / "app/models"
    models.mkdir(parents=True)
    (models / "billing.py").write_text("class Invoice: ...\n")

    assert dict(kinds.domain(tmp_path, name="billing", model="Invoice"))
    with pytest.raises(
        CommandError,
        match="^model 'Invoice': expected another name; it exists in "
        "app/models/billing.py$",
    ):
        dict(kinds.domain(tmp_path, name="wallet", model="Invoice"))
