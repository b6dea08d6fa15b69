"""Small questions to a syntax tree."""

import ast
from collections.abc import Iterable, Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef


def literal(node: ast.AST | None) -> object:
    """Return the value that an expression spells out, or None if it computes one."""
    return node.value if isinstance(node, ast.Constant) else None


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """Return the keyword arguments of a call; those behind `**` are not seen."""
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def last_name(node: ast.expr) -> str:
    """Return `c` of `a.b.c`, or of plain `c`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def walk(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield every node in any of the trees."""
    for node in nodes:
        yield from ast.walk(node)


def calls(nodes: Iterable[ast.AST]) -> Iterator[ast.Call]:
    """Yield every call in any of the trees."""
    return (node for node in walk(nodes) if isinstance(node, ast.Call))


def expression(text: str) -> ast.expr | None:
    """Return the expression that a text spells, None if it spells none."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None


def docstring_of(function: Function) -> str:
    """Return the docstring with its indentation cleaned, nothing if there is none."""
    return ast.get_docstring(function) or ""
