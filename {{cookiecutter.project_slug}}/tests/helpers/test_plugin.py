"""The plugin, in small projects of its own that have one task."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

PROJECT = {
    "app/__init__.py": "",
    "app/workflows/__init__.py": "",
    "app/tasks.py": """
from celery import shared_task

@shared_task(name="app.tasks.pay", autoretry_for=(OSError,), max_retries=1)
def pay(down=False):
    if down:
        raise OSError
""",
    "config/__init__.py": "",
    "config/celery.py": """
from celery import Celery

app = Celery("small", broker="memory://", include=["app.tasks"])
""",
    "pytest.ini": """
[pytest]
testpaths = tests
addopts = --strict-markers -p tests.helpers.plugin
markers =
    chaos: breaks things
""",
    "tests/test_tasks.py": """
import pytest
from app.tasks import pay

@pytest.mark.task("app.tasks.pay", "execution", "idempotency")
def test_pay():
    pay.apply()

@pytest.mark.task("app.tasks.pay", "retry")
def test_pay_again():
    pay.apply(args=[True])
""",
    "tests/test_chaos.py": """
import pytest

@pytest.mark.chaos
@pytest.mark.task("app.tasks.pay", "failure")
def test_pay_fails():
    pass
""",
}

MISSING = (
    "ERROR: app.tasks.pay has no failure test; write one, and mark it"
    ' @pytest.mark.task("app.tasks.pay", "failure")'
)

PARALLEL = ("-p", "xdist.plugin", "--numprocesses=2")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest in the project, some of whose files are given anew."""

    def run_pytest(*arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
        changed = {f"tests/{name}.py": text for name, text in files.items()}
        for name, text in (PROJECT | changed).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # starts in half of the time
            },
            capture_output=True,
            text=True,
        )

    return run_pytest


def test_tests_that_are_left_out_by_a_mark_count_and_the_table_says_so(
    run: Run, tmp_path: Path
) -> None:
    done = run("-m", "not chaos", "--task-matrix=matrix.md")

    assert done.returncode == 0, done.stdout
    table = [
        "| task      | execution | failure     | retry | idempotency | progress | workflow |",
        "| ---       | ---       | ---         | ---   | ---         | ---      | ---      |",
        "| tasks.pay | 1         | 1 (not run) | 1     | 1           | –        | –        |",
    ]
    assert "\n".join(table) in done.stdout
    assert (tmp_path / "matrix.md").read_text("utf-8").splitlines() == table


def test_task_without_a_required_test_stops_the_collection(run: Run) -> None:
    done = run(test_chaos="")

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert MISSING in done.stderr
    assert "passed" not in done.stdout


def test_task_without_a_required_test_stops_parallel_runs_too(run: Run) -> None:
    done = run(*PARALLEL, test_chaos="")

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert done.stderr.count(MISSING) == 1
    assert "passed" not in done.stdout


def test_table_of_a_parallel_run_shows_what_failed(run: Run) -> None:
    broken = PROJECT["tests/test_tasks.py"].replace("pay.apply()", "assert False")

    done = run(*PARALLEL, test_tasks=broken)

    assert "| tasks.pay | 1 (1 failed) | 1       | 1     | 1 (1 failed)" in done.stdout


@pytest.mark.parametrize("part", ["tests/test_tasks.py", "-kagain"])
def test_nothing_is_required_of_a_part(run: Run, part: str) -> None:
    done = run(part, test_chaos="")

    assert done.returncode == 0, done.stdout
    assert "tests by task" not in done.stdout


def test_test_module_that_cannot_be_imported_is_reported_as_such(run: Run) -> None:
    done = run(test_chaos="import nothing_of_the_kind")

    assert "No module named 'nothing_of_the_kind'" in done.stdout
    assert "has no failure test" not in done.stderr


def test_marker_that_names_nothing_known_is_an_error_even_in_a_part(run: Run) -> None:
    wrong = """
import pytest

@pytest.mark.task("app.tasks.play", "execution")
@pytest.mark.task("app.tasks.pay", "speed")
@pytest.mark.task("app.tasks.pay")
@pytest.mark.task()
def test_wrong():
    pass
"""
    done = run("-k", "wrong", test_wrong=wrong)

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    where = "ERROR: tests/test_wrong.py::test_wrong: pytest.mark.task"
    accepted = "accepted: execution, failure, retry, idempotency, progress, workflow"
    assert [line for line in done.stderr.splitlines() if line] == [
        f"{where}(): no registered task of app has this name",
        f"{where}(): names no kind; {accepted}",
        f"{where}('app.tasks.pay'): names no kind; {accepted}",
        f"{where}('app.tasks.pay', 'speed'): unknown kind 'speed'; {accepted}",
        f"{where}('app.tasks.play', 'execution'):"
        " no registered task of app has this name",
    ]


def test_marked_test_must_do_what_its_marker_says(run: Run) -> None:
    lies = """
import pytest
from app.tasks import pay

@pytest.mark.task("app.tasks.pay", "failure")
def test_not_started():
    pass

@pytest.mark.task("app.tasks.pay", "retry")
def test_not_retried():
    pay.apply()
"""
    done = run("tests/test_lies.py", test_lies=lies)

    assert "2 failed" in done.stdout
    assert "marked as a test of app.tasks.pay, which was not started" in done.stdout
    assert "marked as a retry test of app.tasks.pay, which was not retried" in (
        done.stdout
    )


def test_folder_that_does_not_exist_is_an_error_before_the_tests(run: Run) -> None:
    done = run("--task-matrix=away/matrix.md")

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--task-matrix=away/matrix.md: no such folder" in done.stderr
