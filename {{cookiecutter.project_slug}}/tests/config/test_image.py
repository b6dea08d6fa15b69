"""The container image, as far as it can be tried without a container."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_what_the_image_copies_is_enough_to_start_and_has_no_tools(
    tmp_path: Path,
) -> None:
    dockerignore = (ROOT / ".dockerignore").read_text("utf-8")
    for name in re.findall(r"^!(.+)$", dockerignore, re.M):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)

    checked = subprocess.run(
        [sys.executable, "-B", "manage.py", "check"],
        cwd=tmp_path,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
    )

    assert checked.returncode == 0, checked.stderr
    for name in ("tools", "tests", ".env", ".git", "secrets", "var"):
        assert not (tmp_path / name).exists()
