"""A pytest plugin: no task without its tests.

A test says with a marker which task it is about, and what kind of test it is:

    @pytest.mark.task("app.tasks.email_tasks.send_bulk", "retry")

If pytest is asked for everything in `tests`, and a task lacks a test of a required kind,
the collection fails. Nothing is required of a part (`pytest tests/app/api`, `-k retry`,
`--lf`), except that markers are right. Tests that `-m` leaves out count as tests.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import signals

from tests.helpers.matrix import Declared, errors_in_marker, missing, table
from tests.helpers.required import Kind, required_kinds

# These start tasks in other processes.
ELSEWHERE = {"integration", "chaos", "soak", "performance"}

# Options that leave files or tests out before they are collected, or that pick a few.
NARROWING = ("keyword", "deselect", "ignore", "ignore_glob", "lf")

# What a worker of pytest-xdist tells the main process when it ends.
OUTPUT = "task_matrix"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--task-matrix`."""
    parser.addoption(
        "--task-matrix",
        metavar="FILE",
        help="write the tests of each task, by kind, as a Markdown table; - prints it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, and start to watch."""
    kinds = ", ".join(Kind)
    config.addinivalue_line(
        "markers", f"task(name, *kinds): tests this task; kinds: {kinds}"
    )
    config.pluginmanager.register(TaskMatrix(config))


class TaskMatrix:
    """What is known of the tests of tasks in one process.

    With pytest-xdist, workers collect and the main process judges and reports: they tell it
    in `workeroutput` what they have found.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._declared: list[Declared] = []
        self._failed: dict[str, bool] = {}
        self._file: str | None = config.getoption("--task-matrix")
        if self._file not in (None, "-") and not Path(self._file).parent.is_dir():
            raise pytest.UsageError(f"--task-matrix={self._file}: no such folder")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Judge, before any test is deselected."""
        required = required_kinds()
        errors = []
        for item in items:
            for marker in item.iter_markers("task"):
                errors += errors_in_marker(item.nodeid, marker.args, required)
                self._declared += [
                    Declared(item.nodeid, marker.args[0], kind)
                    for kind in marker.args[1:]
                ]
        # Tests that could not be imported are reported first.
        if not session.testsfailed and self._is_whole():
            errors += missing(required, self._declared)
        if self._tells_another_process():
            output = {"declared": [tuple(one) for one in self._declared]}
            self._config.workeroutput[OUTPUT] = output | {"errors": errors}  # type: ignore[attr-defined]  # xdist's
            if errors:
                items.clear()
        else:
            _refuse(errors)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear what a worker of pytest-xdist has collected; all collect the same."""
        told = getattr(node, "workeroutput", {}).get(OUTPUT)
        if told:
            self._declared = [Declared(*one) for one in told["declared"]]
            _refuse(told["errors"])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail a test that does not do what its marker says."""
        with _watched() as seen:
            result = yield
        if ELSEWHERE.isdisjoint(marker.name for marker in item.iter_markers()):
            for marker in item.iter_markers("task"):
                _check_evidence(marker.args[0], marker.args[1:], seen)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test went."""
        if report.failed:
            self._failed[report.nodeid] = True
        elif report.passed and report.when == "call":
            self._failed.setdefault(report.nodeid, False)

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Show the matrix, and write it where it is wanted."""
        if self._file is None and not self._is_whole():
            return
        lines = table(required_kinds(), self._declared, self._failed)
        if self._file not in (None, "-"):
            Path(self._file).write_text("\n".join(lines) + "\n", "utf-8")
        terminalreporter.section("tests by task and kind")
        for line in lines:
            terminalreporter.write_line(line, red=" failed)" in line)

    def _is_whole(self) -> bool:
        if any(self._config.getoption(option, None) for option in NARROWING):
            return False
        begun_in = self._config.invocation_params.dir
        tests = self._config.rootpath / "tests"
        return any(
            tests.is_relative_to((begun_in / argument).resolve())
            for argument in self._config.args
        )

    def _tells_another_process(self) -> bool:
        return hasattr(self._config, "workeroutput")


def _refuse(errors: list[str]) -> None:
    if errors:
        raise pytest.UsageError(*errors)


@contextmanager
def _watched() -> Iterator[set[tuple[str, str]]]:
    """Yield a set that grows with the names of tasks that are started or retried."""
    seen: set[tuple[str, str]] = set()

    def note_start(task: Any, **kwargs: object) -> None:
        seen.add((task.name, "start"))

    def note_retry(sender: Any, **kwargs: object) -> None:
        seen.add((sender.name, "retry"))

    signals.task_prerun.connect(note_start)
    signals.task_retry.connect(note_retry)
    try:
        yield seen
    finally:
        signals.task_prerun.disconnect(note_start)
        signals.task_retry.disconnect(note_retry)


def _check_evidence(
    task: str, kinds: tuple[str, ...], seen: set[tuple[str, str]]
) -> None:
    if (task, "start") not in seen:
        pytest.fail(f"marked as a test of {task}, which was not started", pytrace=False)
    if Kind.RETRY in kinds and (task, "retry") not in seen:
        pytest.fail(f"marked as a retry test of {task}, which was not retried", False)
