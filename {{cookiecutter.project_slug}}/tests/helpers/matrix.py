"""The matrix of tasks and kinds of test: what is declared, what is missing, how it went."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tests.helpers.required import Kind

PREFIX = "app."


class Declared(NamedTuple):
    """One test of one kind, as its marker says."""

    test: str
    task: str
    kind: str


def errors_in_marker(
    test: str, args: tuple[object, ...], tasks: Iterable[str]
) -> list[str]:
    """Return what is wrong with `pytest.mark.task(*args)`.

    Args:
        test: its id, for the message.
        args: of the marker: the full name of a task, then one or more kinds.
        tasks: the names of all tasks.
    """
    name, *kinds = args or ("",)
    marker = f"{test}: pytest.mark.task({', '.join(map(repr, args))})"
    errors = []
    if name not in set(tasks):
        errors.append(f"{marker}: no registered task of app has this name")
    if not kinds:
        errors.append(f"{marker}: names no kind; accepted: {', '.join(Kind)}")
    for kind in kinds:
        if kind not in set(Kind):
            errors.append(
                f"{marker}: unknown kind {kind!r}; accepted: {', '.join(Kind)}"
            )
    return errors


def missing(
    required: Mapping[str, frozenset[Kind]], declared: Iterable[Declared]
) -> list[str]:
    """Return one message per required kind of test that no test declares."""
    present = {(one.task, one.kind) for one in declared}
    return [
        f"{task} has no {kind} test; write one, and mark it"
        f' @pytest.mark.task("{task}", "{kind}")'
        for task, kinds in required.items()
        for kind in Kind
        if kind in kinds and (task, kind) not in present
    ]


def table(
    required: Mapping[str, frozenset[Kind]],
    declared: Iterable[Declared],
    failed: Mapping[str, bool],
) -> list[str]:
    """Return the matrix as the lines of a Markdown table.

    Args:
        required: the kinds that each task must have.
        declared: all tests of tasks.
        failed: whether a test failed, by its id; those that were not executed are not in it,
            which the table says unless none was.
    """
    tests: dict[tuple[str, str], set[str]] = {}
    for one in declared:
        tests.setdefault((one.task, one.kind), set()).add(one.test)
    rows = [["task", *Kind], ["---"] * (1 + len(Kind))]
    for task, kinds in required.items():
        cells = [
            _cell(tests.get((task, kind), set()), failed, kind in kinds)
            for kind in Kind
        ]
        rows.append([task.removeprefix(PREFIX), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]


def _cell(tests: set[str], failed: Mapping[str, bool], required: bool) -> str:
    if not tests:
        return "0" if required else "–"
    executed = [failed[test] for test in tests if test in failed]
    if any(executed):
        return f"{len(tests)} ({sum(executed)} failed)"
    return str(len(tests)) if executed or not failed else f"{len(tests)} (not run)"
