"""`.env.example`, the settings, the code and the compose files agree on every variable."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from tools.contract.compose import COMPOSE
from tools.contract.finding import Finding
from tools.contract.project import Project
from tools.contract.rule import rule

EXAMPLE = ".env.example"
DECLARATIONS = ("config/env.py", "config/app_env.py")
READERS = ("app/", "config/", "ledger/", "tools/")

# Those whose variables come from .env; UID of the third is set by the Makefile.
COMPOSE_FILES = (COMPOSE, "docker-compose.prod.yml")

# Compose reads it by itself: https://docs.docker.com/compose/how-tos/environment-variables/envvars/
_OF_COMPOSE = {"COMPOSE_FILE"}

_DOCUMENTED = re.compile(r"([A-Za-z_]\w*)=")
# `$$` is a plain dollar: https://docs.docker.com/reference/compose-file/interpolation/
_USED = re.compile(r"(?<!\$)(?:\$\$)*\$\{?([A-Za-z_]\w*)")


class Variable(NamedTuple):
    """A place that names a variable."""

    name: str
    path: str
    line: int


@rule(
    "env-documented", "Whoever deploys the service knows the variables of .env.example."
)
def env_documented(project: Project) -> Iterator[Finding]:
    """Find variables that the example lacks, or has twice."""
    documented = list(_documented(project))
    names = {variable.name for variable in documented}
    for name, path, line in (*_declared(project), *_used_by_compose(project)):
        if name not in names:
            yield Finding(
                path, line, f"{name} is not in {EXAMPLE}", "document it there"
            )
    for name, path, line in _repeated(documented):
        yield Finding(path, line, f"{name} stands above already", "drop one of them")


@rule("env-declared", "A variable that no setting declares changes nothing, silently.")
def env_declared(project: Project) -> Iterator[Finding]:
    """Find variables of the example that the settings do not know."""
    declared = {variable.name for variable in _declared(project)}
    for name, path, line in _documented(project):
        if name not in declared:
            problem = f"{name} is not declared in {' or '.join(DECLARATIONS)}"
            yield Finding(path, line, problem, "declare it there, or drop it")


@rule("env-used", "A setting that nothing reads promises what it does not keep.")
def env_used(project: Project) -> Iterator[Finding]:
    """Find settings that are declared and never read."""
    read = _OF_COMPOSE | {variable.name for variable in _used_by_compose(project)}
    for path in project.python_in(*READERS):
        if path not in DECLARATIONS:
            read |= {node.attr for node in project.nodes(path, ast.Attribute)}
            texts = (node.value for node in project.nodes(path, ast.Constant))
            read |= {text for text in texts if isinstance(text, str)}
    for name, path, line in _declared(project):
        if name not in read:
            yield Finding(
                path, line, f"nothing reads {name}", "use env.NAME, or drop it"
            )


def _documented(project: Project) -> Iterator[Variable]:
    for line, text in project.lines(EXAMPLE):
        if match := _DOCUMENTED.match(text):
            yield Variable(match[1], EXAMPLE, line)


def _declared(project: Project) -> Iterator[Variable]:
    """Yield the fields in capitals of every class in the modules of the settings."""
    for path in DECLARATIONS:
        for settings in project.nodes(path, ast.ClassDef):
            for field in settings.body:
                target = field.target if isinstance(field, ast.AnnAssign) else None
                if isinstance(target, ast.Name) and target.id.isupper():
                    yield Variable(target.id, path, field.lineno)


def _used_by_compose(project: Project) -> Iterator[Variable]:
    for path in COMPOSE_FILES:
        for line, text in project.lines(path):
            for name in _USED.findall(text.partition("#")[0]):
                yield Variable(name, path, line)


def _repeated(variables: list[Variable]) -> Iterator[Variable]:
    seen: set[str] = set()
    for variable in variables:
        if variable.name in seen:
            yield variable
        seen.add(variable.name)
