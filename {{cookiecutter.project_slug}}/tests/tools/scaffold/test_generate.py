"""The generator, on a copy of this project, for a domain that no team will have.

That what it writes is red at first, and green when the service is filled in, is tested where
the project is baked.
"""

import shutil
import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tools.contract.project import Project
from tools.scaffold.management.commands.generate import Command
from tools.scaffold.staging import Staging, staged

ROOT = Path(__file__).resolve().parents[3]

TASK = ("task", "--domain=specimens", "--name=weigh_specimen", "--queue=critical")

Generate = Callable[..., str]


def contents(root: Path) -> dict[str, str]:
    project = Project(root)
    return {path: project.text(path) for path in project.files}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this project."""
    root = tmp_path_factory.mktemp("fresh")
    for path in Project(ROOT).files:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, root / path)
    return root


@pytest.fixture(scope="module")
def specimens(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the task `weigh_specimen`, to be left as it is."""
    root = tmp_path_factory.mktemp("specimens")
    shutil.copytree(fresh, root, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Command, "root", root)
        call_command("generate", *TASK, stdout=StringIO())
    return root


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> Generate:
    """Run the command on a project; return what it prints."""

    def run(root: Path, *arguments: str) -> str:
        monkeypatch.setattr(Command, "root", root)
        output = StringIO()
        call_command("generate", *arguments, stdout=output)
        return output.getvalue()

    return run


def test_task_gets_its_tests_its_service_and_its_line_in_the_docs(
    fresh: Path, specimens: Path
) -> None:
    before, after = contents(fresh), contents(specimens)

    assert {path for path in after if before.get(path) != after[path]} == {
        "tests/app/services/test_specimens.py",
        "tests/app/tasks/test_specimens_tasks.py",
        "app/services/specimens.py",
        "app/tasks/specimens_tasks.py",
        "docs/tasks.md",
    }
    assert (
        "| app.tasks.specimens_tasks.weigh_specimen | critical | 25 / 30 |"
        in after["docs/tasks.md"]
    )
    assert "execution, failure, idempotency, retry" in after["docs/tasks.md"]


def test_same_command_again_changes_nothing(
    specimens: Path, generate: Generate
) -> None:
    before = contents(specimens)

    assert generate(specimens, *TASK) == "It exists already, unchanged.\n"

    assert contents(specimens) == before


def test_second_task_is_shown_as_a_diff_and_not_written(
    specimens: Path, generate: Generate
) -> None:
    before = contents(specimens)
    second = ("task", "--domain=specimens", "--name=wash_specimen", "--queue=io")

    diff = generate(specimens, *second, "--dry-run")

    assert contents(specimens) == before
    assert diff.startswith("--- a/tests/app/services/test_specimens.py\n+++ b/tests/")
    assert (
        "+from app.tasks.specimens_tasks import wash_specimen, weigh_specimen\n" in diff
    )
    removed = [line for line in diff.splitlines() if line.startswith("-")]
    assert [line for line in removed if not line.startswith("---")] == [
        "-from app.tasks.specimens_tasks import weigh_specimen"
    ]


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        (
            "app/services/specimens.py",
            "raise NotImplementedError(",
            'return ("done"',
            "app/services/specimens.py already has weigh_specimen; choose another name",
        ),
        (
            "app/tasks/specimens_tasks.py",
            "from app.services import specimens\n",
            "specimens = None\n",
            "app/tasks/specimens_tasks.py already has weigh_specimen; choose another "
            "name",
        ),
    ],
)
def test_what_a_person_has_changed_is_never_overwritten(
    specimens: Path,
    tmp_path: Path,
    generate: Generate,
    path: str,
    old: str,
    new: str,
    message: str,
) -> None:
    shutil.copytree(specimens, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / path).read_text()
    changed = text.replace(old, new).replace('queue="critical"', 'queue="io"')
    (tmp_path / path).write_text(changed)
    before = contents(tmp_path)

    with pytest.raises(CommandError, match=f"^nothing was written: {message}$"):
        generate(tmp_path, *TASK)

    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*TASK, "--queue=warp"], "queue 'warp': expected one of critical, fast, io"),
        (
            ["task", "--domain=", "--name=weigh", "--queue="],
            "^domain, queue: expected a value, as in:\n  make task domain=billing name=",
        ),
        ([*TASK, "--name=Weigh"], "name 'Weigh': expected words in lower case"),
        ([*TASK, "--domain=a/b"], "domain 'a/b': expected words in lower case"),
        ([*TASK, "--name=specimens"], "name 'specimens': expected another name"),
        ([*TASK, "--argument=specimen"], "expected the name of a primary key"),
        (TASK[:3], "the following arguments are required: --queue"),
        (
            ["periodic", "--domain=specimens", "--name=close_day", "--every=year"],
            "every 'year': expected one of hourly, daily, weekly, monthly",
        ),
        (
            ["workflow", "--name=month_end", "--steps=one,one", "--queue=io"],
            r"steps\[2\] 'one': expected another name than steps\[1\]",
        ),
        (
            ["workflow", "--name=month_end", "--steps=orchestrator", "--queue=io"],
            r"steps\[1\] 'orchestrator': expected another name than a module",
        ),
        (
            ["domain", "--name=specimens", "--model=invoice"],
            "model 'invoice': expected",
        ),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_written(
    fresh: Path, generate: Generate, arguments: list[str], message: str
) -> None:
    before = contents(fresh)

    with pytest.raises(CommandError, match=message):
        generate(fresh, *arguments)

    assert contents(fresh) == before


def test_project_that_does_not_load_gets_nothing_and_is_told_why(
    fresh: Path, tmp_path: Path, generate: Generate
) -> None:
    shutil.copytree(fresh, tmp_path, dirs_exist_ok=True)
    (tmp_path / "app/tasks/broken_tasks.py").write_text("1 / 0\n")
    before = contents(tmp_path)

    with pytest.raises(CommandError) as refused:
        generate(tmp_path, *TASK)

    assert str(refused.value) == (
        "nothing was written: tools.docs failed: "
        "app/tasks/broken_tasks.py:1: ZeroDivisionError: division by zero"
    )
    assert contents(tmp_path) == before


def test_file_that_cannot_be_parsed_is_named_with_its_line(
    tmp_path: Path, generate: Generate
) -> None:
    (tmp_path / "tests/factories").mkdir(parents=True)
    (tmp_path / "tests/factories/specimens.py").write_text("x = 1\ny = (\n")

    with pytest.raises(
        CommandError,
        match=r"^nothing was written: tests/factories/specimens\.py:2: '\(' was never",
    ):
        generate(tmp_path, *TASK)


def test_domain_that_may_be_mistyped_is_shown_with_those_that_exist(
    fresh: Path, specimens: Path, generate: Generate
) -> None:
    printed = generate(fresh, *TASK, "--dry-run").splitlines()[0]

    assert printed.startswith("new domain: specimens (domains: ")
    assert "notification" in printed and "errors" not in printed
    assert "new domain" not in generate(specimens, *TASK)


def test_fixture_that_has_no_factory_is_shown(
    fresh: Path, tmp_path: Path, generate: Generate
) -> None:
    shutil.copytree(fresh, tmp_path, dirs_exist_ok=True)

    printed = generate(tmp_path, *TASK)

    assert "There is no factory for specimen_id" in printed
    assert "`make domain name=specimens model=Specimen`" in printed


def test_fixture_with_a_factory_needs_nothing(
    fresh: Path, tmp_path: Path, generate: Generate
) -> None:
    shutil.copytree(fresh, tmp_path, dirs_exist_ok=True)
    factories = tmp_path / "tests/factories/specimens.py"
    factories.write_text("class SpecimenFactory: ...\n")

    assert "no factory" not in generate(tmp_path, *TASK)
    test = (tmp_path / "tests/app/tasks/test_specimens_tasks.py").read_text()
    assert "    return SpecimenFactory.create().pk\n" in test


def test_domain_that_is_a_package_is_refused(
    tmp_path: Path, generate: Generate
) -> None:
    (tmp_path / "app/services/specimens").mkdir(parents=True)

    with pytest.raises(CommandError, match="app/services/specimens/ is a package"):
        generate(tmp_path, *TASK)


@pytest.mark.parametrize(
    ("given", "shown_only"), [("", False), ("0", False), ("1", True)]
)
def test_dry_run_is_what_make_is_told(given: str, shown_only: bool) -> None:
    command = ["make", "--dry-run", "VENV=elsewhere", "task", f"DRY={given}"]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert " generate task " in finished.stdout
    assert ("--dry-run" in finished.stdout) == shown_only


# --- staging


def test_error_of_a_tool_that_is_no_traceback_is_shown_whole(tmp_path: Path) -> None:
    (tmp_path / "tool.py").write_text("import sys\nsys.exit('one\\ntwo')\n")

    with pytest.raises(
        CommandError, match="^nothing was written: tool failed: one\ntwo$"
    ):
        Staging(tmp_path, tmp_path).run("tool")


def test_copy_has_the_secrets_and_nothing_else_that_git_ignores(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text(".env\nvar/\n")
    (tmp_path / "var").mkdir()
    for path in (".env", "var/db.sqlite3", "manage.py"):
        (tmp_path / path).write_text("x")

    with staged(tmp_path) as staging:
        copied = {path.name for path in staging.root.iterdir()}
        private = staging.root.stat().st_mode & 0o077

    assert copied == {".gitignore", ".env", "manage.py"}
    assert private == 0
    assert not staging.root.exists()


def test_failure_half_way_takes_everything_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, copy = tmp_path / "project", tmp_path / "copy"
    for root in (project, copy):
        (root / "app").mkdir(parents=True)
        (root / "app/old.py").write_text("x = 1\n")
    (copy / "app/old.py").write_text("x = 2\n")
    (copy / "app/new.py").write_text("x = 3\n")
    (copy / "app/zoo.py").write_text("x = 4\n")
    write = Path.write_text

    def full(file: Path, text: str, **options: Any) -> int:
        write(file, text[:3], **options)
        if file.name == "zoo.py":
            raise OSError("no space left on device")
        return write(file, text, **options)

    monkeypatch.setattr(Path, "write_text", full)

    with pytest.raises(OSError, match="no space left"):
        Staging(copy, project).apply()

    assert contents(project) == {"app/old.py": "x = 1\n"}
