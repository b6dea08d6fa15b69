"""The generated Python parses on 3.10, where cookiecutter and thus the hooks may run."""

import ast
import io
import tokenize
from collections.abc import Iterator

import pytest

from tests.baking import PROJECT

OLDEST = (3, 10)


def newer_f_strings(source: str) -> Iterator[int]:
    """Yield the lines of f-strings that need Python 3.12.

    Before, an expression in one held no backslash and no quotes like those around it:
    https://docs.python.org/3/whatsnew/3.12.html#pep-701-syntactic-formalization-of-f-strings
    """
    enclosing: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.FSTRING_END:
            enclosing.pop()
            continue
        is_text = token.type == tokenize.FSTRING_MIDDLE
        if enclosing and not is_text:
            quoted = token.type in (tokenize.STRING, tokenize.FSTRING_START)
            if "\\" in token.string or (quoted and enclosing[-1] in token.string):
                yield token.start[0]
        if token.type == tokenize.FSTRING_START:
            enclosing.append(token.string.lstrip("fFrRbB"))


def test_python_of_the_project_parses_on_the_oldest_python() -> None:
    for path in PROJECT.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        ast.parse(source, feature_version=OLDEST)
        assert list(newer_f_strings(source)) == [], path


@pytest.mark.parametrize(
    "source",
    ["f'{x['a']}'", 'f"{", ".join(x)}"', "f'{x:{y['a']}}'", 'f"{chr(10) + "\\n"}"'],
)
def test_newer_f_string_is_noticed(source: str) -> None:
    assert list(newer_f_strings(source))


@pytest.mark.parametrize(
    "source", ["f'{x[\"a\"]}\\n'", "f'''{x['a']}'''", "f'{x}' 'a\\n'"]
)
def test_older_f_string_is_not(source: str) -> None:
    assert not list(newer_f_strings(source))
