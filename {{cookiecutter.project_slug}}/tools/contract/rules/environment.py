"""`.env.example`, the settings and docker-compose.yml agree on every variable."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from tools.contract.compose import COMPOSE
from tools.contract.finding import Finding
from tools.contract.project import Project

EXAMPLE = ".env.example"
DECLARATIONS = ("config/env.py", "config/app_env.py")

_DOCUMENTED = re.compile(r"([A-Za-z_]\w*)=")
# `$$` is a plain dollar: https://docs.docker.com/reference/compose-file/interpolation/
_USED = re.compile(r"(?<!\$)(?:\$\$)*\$\{?([A-Za-z_]\w*)")


class Variable(NamedTuple):
    """A place that names a variable."""

    name: str
    path: str
    line: int


def environment_agrees(project: Project) -> Iterator[Finding]:
    """Find variables that one place has and another lacks."""
    documented, declared = list(_documented(project)), list(_declared(project))
    documented_names = {variable.name for variable in documented}
    declared_names = {variable.name for variable in declared}

    for name, path, line in (*declared, *_used(project)):
        if name not in documented_names:
            message = f"{name} is missing in {EXAMPLE}; document it there"
            yield Finding(path, line, message)
    for name, path, line in documented:
        if name not in declared_names:
            places = " or ".join(DECLARATIONS)
            message = f"{name} is not declared in {places}; declare or drop it"
            yield Finding(path, line, message)
    for name, path, line in _repeated(documented):
        yield Finding(path, line, f"{name} stands above already; drop one of them")


def _documented(project: Project) -> Iterator[Variable]:
    for line, text in project.lines(EXAMPLE):
        if match := _DOCUMENTED.match(text):
            yield Variable(match[1], EXAMPLE, line)


def _declared(project: Project) -> Iterator[Variable]:
    """Yield the fields in capitals of every class in the modules of the settings."""
    for path in DECLARATIONS:
        for settings in ast.walk(project.tree(path)):
            for field in settings.body if isinstance(settings, ast.ClassDef) else ():
                target = field.target if isinstance(field, ast.AnnAssign) else None
                if isinstance(target, ast.Name) and target.id.isupper():
                    yield Variable(target.id, path, field.lineno)


def _used(project: Project) -> Iterator[Variable]:
    for line, text in project.lines(COMPOSE):
        for name in _USED.findall(text.partition("#")[0]):
            yield Variable(name, COMPOSE, line)


def _repeated(variables: list[Variable]) -> Iterator[Variable]:
    seen: set[str] = set()
    for variable in variables:
        if variable.name in seen:
            yield variable
        seen.add(variable.name)
