"""The catalogue of tasks, and the page that shows it."""

import dataclasses
import json
import re
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from celery.schedules import crontab
from django.core.management import call_command

from config import catalogue, catalogue_formats
from config.celery import app
from tools.docs import tasks_page

ROOT = Path(__file__).resolve().parents[2]

DELIVER = "app.tasks.notification_tasks.deliver_webhook"
PRUNE = "app.tasks.periodic.daily_tasks.prune_webhook_deliveries"

# What the diagram may consist of: https://mermaid.js.org/syntax/flowchart.html
LABEL = r'"[\w <>:]+"'
SHAPES = [rf"\({LABEL}\)", rf"\(\({LABEL}\)\)", rf"\[{LABEL}\]"]
SHAPES += [rf"\[\({LABEL}\)\]", rf"\[\[{LABEL}\]\]"]
NODE = r"(\w+)(" + "|".join(SHAPES) + ")?"
LINE = re.compile(f"    {NODE}(?: (?:-->|-[.]->) {NODE})?")


@pytest.fixture(scope="module")
def entries() -> dict[str, catalogue.Entry]:
    return {entry.task: entry for entry in catalogue.entries()}


def test_every_task_of_the_project_is_in_it(entries: dict[str, object]) -> None:
    ours = {name for name in app.tasks if name.startswith("app.")}

    assert ours and ours <= set(entries)


def test_entry_says_what_the_task_declares(
    entries: dict[str, catalogue.Entry],
) -> None:
    entry = entries[DELIVER]

    assert (entry.queue, entry.soft_time_limit, entry.time_limit) == ("io", 30, 40)
    assert entry.max_retries == 12
    assert entry.retried == ("TransientError", "OperationalError")
    assert entry.idempotency == "idempotency key"


def test_entry_says_when_the_clock_starts_the_task(
    entries: dict[str, catalogue.Entry],
) -> None:
    assert entries[PRUNE].schedule == ("crontab 10 3 * * *",)
    assert entries[DELIVER].schedule == ()


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (crontab(day_of_week="mon", hour="6", minute="0"), "crontab 0 6 * * mon"),
        (90, "every 0:01:30"),
        (timedelta(hours=1), "every 1:00:00"),
    ],
)
def test_schedule_in_words(schedule: object, words: str) -> None:
    assert catalogue.when(schedule) == words


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({}, ""),
        ({"atomic": True}, "atomic"),
        ({"unique_key": "invoice:1"}, "one at a time of invoice:1"),
        ({"atomic": True, "idempotent": "by nature"}, "atomic; by nature"),
    ],
)
def test_idempotency_in_words(declared: dict[str, object], words: str) -> None:
    assert catalogue.idempotency(type("Task", (), declared)) == words


def test_kinds_of_tests_are_found_by_their_markers(tmp_path: Path) -> None:
    (tmp_path / "deeper").mkdir()
    (tmp_path / "test_one.py").write_text('@pytest.mark.task("a", "retry")\ndef f(): 1')
    (tmp_path / "deeper" / "test_two.py").write_text(
        'pytestmark = [pytest.mark.task("a", "failure", "retry"), pytest.mark.slow("b")]'
    )

    assert catalogue.tests_by_task(tmp_path) == {"a": {"failure", "retry"}}
    assert catalogue.tests_by_task(tmp_path / "missing") == {}


def test_tasks_of_a_workflow_and_their_order_are_found_in_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "flows_to_find"
    (package / "billing").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "billing" / "__init__.py").touch()
    (package / "billing" / "orchestrator.py").write_text(
        "from celery import chain\n"
        "from app.tasks.notification_tasks import deliver_webhook\n"
        "from app.tasks.periodic import daily_tasks\n"
        "def start():\n"
        "    chain(deliver_webhook.si(1), daily_tasks.prune_webhook_deliveries.si())\n"
        "    print.si(1)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    found = catalogue.workflows(package, "flows_to_find")

    assert found == [("billing", [DELIVER, PRUNE], [(DELIVER, PRUNE)])]


# --- formats


def printed(kind: str) -> str:
    output = StringIO()
    call_command("tasks", format=kind, stdout=output)
    return output.getvalue()


def test_json_has_every_field() -> None:
    rows = {row["task"]: row for row in json.loads(printed("json"))}

    assert rows[DELIVER]["queue"] == "io"
    assert rows[PRUNE]["schedule"] == ["crontab 10 3 * * *"]


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("md", ("maintenance", "840 / 900", "5 after OperationalError", "10 3 * * *")),
        ("table", ("maintenance", "840 / 900", "  5  ", "  by nature  ", "10 3 * * *")),
    ],
)
def test_text_has_a_line_for_every_task(kind: str, parts: tuple[str, ...]) -> None:
    [line] = [line for line in printed(kind).splitlines() if PRUNE in line]

    for part in parts:
        assert part in line


def test_bar_in_a_cell_does_not_end_it() -> None:
    changed = dataclasses.replace(catalogue.entries()[0], idempotency="this | that")

    assert "| this \\| that |" in catalogue_formats.markdown([changed])


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (
            {"max_retries": None, "retried": ("OSError",)},
            "| any number after OSError |",
        ),
        ({"max_retries": 3, "retried": ()}, "| – |"),
    ],
)
def test_retries_in_words(declared: dict[str, object], words: str) -> None:
    changed = dataclasses.replace(catalogue.entries()[0], idempotency="x", **declared)  # type: ignore[arg-type]  # each fits its field

    assert f"{words} x |" in catalogue_formats.markdown([changed])


def test_diagram_is_valid_and_each_of_its_nodes_has_a_label() -> None:
    first, *lines = printed("mermaid").rstrip("\n").split("\n")

    assert first == "flowchart LR"
    nodes: dict[str, list[str]] = {}
    for line in lines:
        found = LINE.fullmatch(line)
        assert found, line
        groups = found.groups(default="")
        for node, label in (groups[:2], groups[2:]):
            nodes.setdefault(node, []).extend([label] if label else [])
    nodes.pop("", None)
    assert {
        node: len(labels) for node, labels in nodes.items() if len(labels) != 1
    } == {}


def test_diagram_leads_from_the_clock_to_the_worker() -> None:
    diagram = printed("mermaid")
    task = f"task_{PRUNE.replace('.', '_')}"

    assert f"clock --> {task}\n" in diagram
    assert f'{task}("prune_webhook_deliveries") --> queue_maintenance\n' in diagram
    assert 'queue_maintenance[("queue maintenance")] --> worker_maintenance' in diagram


def test_page_shows_the_catalogue() -> None:
    page = (ROOT / "docs" / "tasks.md").read_text("utf-8")

    assert tasks_page(page) == page, "run `make docs`"
