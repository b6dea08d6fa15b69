"""The pages in `docs/`, and the tool behind `make docs`."""

import re
from pathlib import Path

import pytest

from tools.docs import with_diagram, with_table

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
