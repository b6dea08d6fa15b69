"""The pages in `docs/`, and the tool behind `make docs`."""

import re
from pathlib import Path

import pytest

from tools.docs import DOCS, PAGES, main, with_diagram, with_table

ROOT = Path(__file__).resolve().parent.parent.parent

PAGE = "# Queues\n\n| old |\n| --- |\n| row |\n\nafter\n\n| other |\n| --- |\n"


def test_first_table_is_replaced_and_the_rest_stays() -> None:
    page = with_table(PAGE, "| new |\n| --- |")

    assert page == "# Queues\n\n| new |\n| --- |\n\nafter\n\n| other |\n| --- |\n"


def test_page_without_a_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="no table"):
        with_table("# Queues\n", "| new |")


def test_first_diagram_is_replaced_and_the_rest_stays() -> None:
    page = with_diagram("a\n```mermaid\nold\n```\nb\n```\nc\n```\n", "new\nlines")

    assert page == "a\n```mermaid\nnew\nlines\n```\nb\n```\nc\n```\n"


def test_page_without_a_diagram_is_an_error() -> None:
    with pytest.raises(ValueError, match="no diagram"):
        with_diagram("# Tasks\n", "new")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the pages that `make docs` writes."""
    for name in PAGES:
        (tmp_path / name).write_text((DOCS / name).read_text("utf-8"), "utf-8")
    return tmp_path


def test_pages_are_as_make_docs_writes_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"], folder) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", PAGES)
def test_page_that_is_out_of_date_is_named_until_it_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    page = (folder / name).read_text("utf-8")
    old = page.replace("maintenance", "cleaning")
    (folder / name).write_text(old, "utf-8")

    assert main(["--check"], folder) == 1
    assert capsys.readouterr().err == f"docs/{name} is out of date: run `make docs`\n"
    assert (folder / name).read_text("utf-8") == old

    assert main([], folder) == 0
    assert main(["--check"], folder) == 0


def test_example_of_the_last_attempt_is_taken_from_a_task() -> None:
    page = (DOCS / "task-options.md").read_text("utf-8")
    task = (ROOT / "app" / "tasks" / "notification_tasks.py").read_text("utf-8")

    [example] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    assert example in task


def test_example_on_the_page_about_chaos_is_a_test_that_runs() -> None:
    page = (ROOT / "docs" / "testing-chaos.md").read_text("utf-8")
    test = (ROOT / "tests" / "chaos" / "test_webhook.py").read_text("utf-8")

    assert f"```python\n{test}```" in page


def test_examples_on_the_page_about_tests_are_taken_from_tests_that_run() -> None:
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    tests = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]

    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    assert examples
    for example in examples:
        assert any(example in test for test in tests), example
