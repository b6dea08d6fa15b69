"""Finish a fresh project: apply the chosen options, write `.env`, validate the result.

Cookiecutter runs this file, rendered, in the folder of the new project, and removes the
folder when the exit status is not zero. It needs nothing but the standard library.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

# URL-encoded, because no answer can then end the string literal or be read as code.
ANSWERS = "{{ cookiecutter | jsonify | urlencode }}"

OPTIONS = "options"


def apply_options(root: Path, answers: dict[str, str]) -> None:
    """Lay the files of every chosen option over the project and drop all the others.

    Args:
        root: of the project; `options/<option>=<value>/` mirrors its tree, and a file
            there replaces the file of the same path.
        answers: the chosen value of every option.

    Raises:
        SystemExit: if a folder of `options/` belongs to no option.
    """
    for overlay in sorted((root / OPTIONS).iterdir()):
        option, _, value = overlay.name.partition("=")
        if option not in answers:
            sys.exit(f"{OPTIONS}/{overlay.name}: cookiecutter.json has no {option!r}")
        if answers[option] == value:
            shutil.copytree(overlay, root, dirs_exist_ok=True)
    shutil.rmtree(root / OPTIONS)


def run_tool(root: Path, name: str) -> None:
    """Run one of the project's own tools, which needs nothing installed.

    Raises:
        SystemExit: if the tool failed; it has said why.
    """
    # -B, because a fresh project holds no __pycache__; PYTHONPATH, because -m does not look
    # into the current folder where PYTHONSAFEPATH is set
    command = [sys.executable, "-B", "-m", name]
    env = os.environ | {"PYTHONPATH": str(root)}
    if subprocess.run(command, cwd=root, env=env).returncode:
        sys.exit(f"{name} failed on the generated project: nothing of it is kept.")


def main() -> None:
    """Finish the project in the current folder."""
    root = Path.cwd()
    apply_options(root, json.loads(unquote(ANSWERS)))
    run_tool(root, "tools.make_env")
    run_tool(root, "tools.contract")
    print(f"\n{root.name} is ready. Next:")
    print(f"  cd {shlex.quote(str(root))}\n  make run")


if __name__ == "__main__":
    main()
