"""`make mutants`: take each safeguard away, and see that a chaos test notices.

Every mutation of `tests/chaos/mutations.py` is applied to a copy of the project, in which
its test is run. A test that passes all the same proves nothing: it is shown as `survived`,
and the exit status is 1. Together, the tests must pass without any mutation; else a
failure would say nothing either. Words after `python -m tests.chaos.mutants` select the
mutations whose safeguard contains one of them.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "what-the-tests-prove.md"
NOT_COPIED = ("var", ".venv", ".uv", ".git", "__pycache__", ".*_cache", "htmlcov")

BEGIN, END = "<!-- written by make mutants -->\n", "<!-- end -->\n"

# A test whose safeguard is missing may wait until its own time is up.
TIMEOUT_SECONDS = 600


class Stale(Exception):
    """The text that a mutation replaces is not in its file exactly once."""


def main(words: list[str]) -> int:
    """Try the mutations, print a line for each, and write the table of all.

    Returns:
        The exit status: 0 if every mutation was noticed.
    """
    chosen = [mutation for mutation in MUTATIONS if _is_chosen(mutation, words)]
    tests = sorted({mutation.test for mutation in chosen})
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for mutation in MUTATIONS:
            mutated(mutation, ROOT)  # all of them, before the first one takes minutes
        print(f"{len(tests)} tests without any mutation", flush=True)
        if not _pass(_copy(folder), tests, "--numprocesses=2"):
            print("They must pass before a failure can mean anything.", file=sys.stderr)
            return 1
        results = [(mutation, _is_noticed(mutation, folder)) for mutation in chosen]
    if not words:
        _write(results)
    return 0 if all(noticed for _, noticed in results) else 1


def _is_chosen(mutation: Mutation, words: list[str]) -> bool:
    return not words or any(word in mutation.safeguard for word in words)


def _is_noticed(mutation: Mutation, folder: str) -> bool:
    started = time.monotonic()
    project = _copy(folder)
    (project / mutation.file).write_text(mutated(mutation, project), "utf-8")
    noticed = not _pass(project, [mutation.test], "--exitfirst")
    seconds = time.monotonic() - started
    verdict = "red     " if noticed else "SURVIVED"
    print(f"{verdict} {seconds:4.0f} s  {mutation.safeguard}", flush=True)
    return noticed


def mutated(mutation: Mutation, project: Path) -> str:
    """Return the text of the mutation's file without its safeguard.

    Raises:
        Stale: if the text that is to be replaced is not there exactly once.
    """
    text = (project / mutation.file).read_text("utf-8")
    if text.count(mutation.old) != 1:
        raise Stale(
            f"{mutation.file} must contain this once, for the mutation "
            f"{mutation.safeguard!r}:\n{mutation.old}"
        )
    return text.replace(mutation.old, mutation.new)


def _copy(folder: str) -> Path:
    project = Path(folder) / "project"
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(ROOT, project, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return project


def _pass(project: Path, tests: list[str], option: str) -> bool:
    """Return whether the tests pass.

    Raises:
        RuntimeError: if pytest could not run them, or skipped all.
    """
    command = [sys.executable, "-m", "pytest", "--quiet", "-m", "chaos", option]
    command += [f"tests/chaos/{test}" for test in tests]
    try:
        finished = subprocess.run(
            command,
            cwd=project,
            timeout=TIMEOUT_SECONDS,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return False
    summary = finished.stdout.splitlines()[-1]
    if "passed" not in summary and "failed" not in summary:
        raise RuntimeError(finished.stdout)
    return finished.returncode == 0


def _write(results: list[tuple[Mutation, bool]]) -> None:
    lines = ["| Safeguard | Where | Test | Without it |", "| --- | --- | --- | --- |"]
    for mutation, noticed in results:
        test = mutation.test.partition("::")[2].removeprefix("test_").replace("_", " ")
        verdict = "red" if noticed else "**survived**"
        where = f"`{mutation.file}`"
        lines.append(f"| {mutation.safeguard} | {where} | {test} | {verdict} |")
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    table = "\n".join(lines) + "\n"
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
