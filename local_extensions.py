"""What the template adds to cookiecutter's Jinja.

https://cookiecutter.readthedocs.io/en/stable/advanced/local_extensions.html
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from cookiecutter.exceptions import FailedHookException
from jinja2 import Environment
from jinja2.ext import Extension

CHECKS = Path(__file__).parent / "hooks" / "pre_gen_project.py"


class TemplateExtension(Extension):
    """The filters `checked` and `toml`."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.filters |= {"checked": checked, "toml": toml}


def checked(answers: Mapping[str, object]) -> str:
    """Check all answers as soon as they are known.

    Cookiecutter makes the project's folder before it calls the hook that checks: by then
    a slug such as `a/b` or `../evil` would have left folders behind.

    Args:
        answers: cookiecutter's variables by name.

    Returns:
        A word for cookiecutter's own record.

    Raises:
        FailedHookException: with one line per wrong answer; the command line prints it.
    """
    checks = _load(CHECKS)
    if lines := checks.problems(answers):
        raise FailedHookException(checks.report(lines))
    return "yes"


def toml(text: str) -> str:
    """Return printable text as a TOML string.

    JSON is close, yet it writes emoji as surrogate pairs, which TOML refuses.
    """
    return json.dumps(text, ensure_ascii=False)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
