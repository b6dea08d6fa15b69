"""Bake the template as a user would: by the `cookiecutter` command, in a process."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "{{cookiecutter.project_slug}}"

# What cookiecutter reads; the rest of this folder never reaches it.
TEMPLATE = ("cookiecutter.json", "local_extensions.py", "hooks", PROJECT.name)

# Something is wrong if nothing has happened for so long.
TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Bake:
    """How one run of cookiecutter ended.

    Attributes:
        output: all that it printed.
        exit_status: 0 if it succeeded.
        root: the folder of the generated project; missing if the run failed.
    """

    output: str
    exit_status: int
    root: Path


def options() -> dict[str, object]:
    """Return every option of cookiecutter.json with its default or its choices."""
    written = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    return {name: value for name, value in written.items() if name[0] != "_"}


def bake(
    scratch: Path,
    answers: dict[str, str] | None = None,
    *,
    template: Path = ROOT,
    flags: tuple[str, ...] = ("--no-input",),
    typed: str = "",
    prefix: tuple[str, ...] = (),
) -> Bake:
    """Run cookiecutter.

    Args:
        scratch: a folder of this run alone; the output goes into `out/` in it.
        answers: given on the command line, by option; the rest are defaults.
        template: the folder of the template.
        flags: of the command line.
        typed: what a person would type at the prompts.
        prefix: a command that runs cookiecutter, such as `unshare`.
    """
    answers = answers or {}
    command = [*prefix, sys.executable, "-m", "cookiecutter", *flags]
    command += ["--output-dir", str(scratch / "out"), str(template)]
    command += [f"{option}={value}" for option, value in answers.items()]
    finished = subprocess.run(
        command,
        cwd=scratch,
        env=_environment(scratch),
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    slug = answers.get("project_slug", "acme_service")
    return Bake(finished.stdout, finished.returncode, scratch / "out" / slug)


def copy_of_the_template(destination: Path) -> Path:
    """Copy the template, to be broken by a test; return the copied project's folder."""
    for name in TEMPLATE:
        source, target = ROOT / name, destination / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, ignore=ignored)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return destination / PROJECT.name


def _environment(scratch: Path) -> dict[str, str]:
    """Return an environment in which the developer's own settings do not exist."""
    home = scratch / "home"
    home.mkdir(exist_ok=True)
    # A wide terminal, so that no prompt is wrapped.
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "COLUMNS": "200",
    }
