"""A rendered module goes into a module that exists already.

Definitions that it lacks are added, with the imports that they need; lists and dictionaries
grow by what they lack; what is there stays as it is. isort and black put the result in order.
"""

import ast
from collections.abc import Iterable, Iterator

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Conflict(Exception):
    """A name is taken by something else; the message says what the module has."""


def merged(existing: str, rendered: str) -> str:
    """Return the existing module with what it lacks of the rendered one.

    Args:
        existing: its source; blank for a new module.
        rendered: source of imports, functions, classes, and assignments of lists and
            dictionaries.

    Raises:
        Conflict: if a name has two meanings, in the rendered module or because it has
            another one in the existing module. A fixture is no conflict: the one that exists
            may have become better than the rendered one.
        SyntaxError: if the existing module is not valid Python.
    """
    body = ast.parse(rendered).body
    _check_distinct(body)
    if not existing.strip():
        return rendered
    text, needed = existing, set()
    for node in body:
        before = text
        if isinstance(node, Definition):
            text = _with_definition(text, node, rendered)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            text = _with_items(text, node, rendered)
        if text != before:
            needed |= _names(node)
    for node in body:
        for name, source in _bound([node]):
            if isinstance(node, ast.Import | ast.ImportFrom) and name in needed:
                text = _with_import(text, name, source)
    return text


def _check_distinct(body: list[ast.stmt]) -> None:
    seen: set[str] = set()
    for name, _ in _bound(body):
        if name in seen:
            raise Conflict(f"would have two things called {name}")
        seen.add(name)


def _with_import(text: str, name: str, source: str) -> str:
    tree = ast.parse(text)
    bound = dict(_bound(tree.body))
    if bound.get(name, source) != source:
        raise Conflict(f"has something else called {name}")
    if name in bound:
        return text
    imports = [
        node.end_lineno or 0
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    lines = text.splitlines(keepends=True)
    if imports:
        lines.insert(max(imports), f"{source}\n")
    else:
        lines.insert(_end_of_docstring(tree), f"\n{source}\n")
    return "".join(lines)


def _with_definition(text: str, node: Definition, rendered: str) -> str:
    for name, source in _bound(ast.parse(text).body):
        if name != node.name:
            continue
        if source != ast.unparse(node) and not _is_fixture(node):
            raise Conflict(f"already has {name}; choose another name")
        return text
    return f"{text.rstrip()}\n\n\n{_source(rendered, node)}\n"


def _with_items(text: str, node: ast.Assign | ast.AnnAssign, rendered: str) -> str:
    """Return the text in which a list or dictionary has all items of the rendered one."""
    name = _target(node)
    for key, added in _items(name, node.value).items():
        collection = _value_of(text, name)
        have = _items(name, collection)
        if key not in have:
            parts = [ast.get_source_segment(rendered, part) or "" for part in added]
            text = _with_item(text, collection, have, ": ".join(parts))
        elif [*map(ast.unparse, added)] != [*map(ast.unparse, have[key])]:
            raise Conflict(f"already has another {name}[{key}]")
    return text


def _value_of(text: str, name: str) -> ast.expr:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and _target(node) == name:
            if node.value is not None:
                return node.value
    raise Conflict(f"has no {name}")


def _items(name: str, node: ast.expr | None) -> dict[str, list[ast.expr]]:
    """Return the items of a list, or the keys and values of a dictionary, by source."""
    if isinstance(node, ast.List):
        return {ast.unparse(item): [item] for item in node.elts}
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {ast.unparse(key): [key, value] for key, value in pairs if key}
    raise Conflict(f"computes {name}; expected items that are written out")


def _with_item(
    text: str, collection: ast.expr, items: dict[str, list[ast.expr]], item: str
) -> str:
    """Return the text with one more item: in its place in a sorted list, else at the end."""
    if isinstance(collection, ast.List) and [*items] == sorted(items):
        key = ast.unparse(ast.parse(item, mode="eval"))
        for later in [parts[0] for other, parts in items.items() if other > key]:
            offset = _offset(text, later.lineno, later.col_offset)
            return f"{text[:offset]}{item}, {text[offset:]}"
    if items:
        last = [*items.values()][-1][-1]
        offset = _offset(text, last.end_lineno, last.end_col_offset)
        return f"{text[:offset]}, {item}{text[offset:]}"
    offset = _offset(text, collection.lineno, collection.col_offset) + 1
    return f"{text[:offset]}{item}{text[offset:]}"


def _offset(text: str, line: int | None, column: int | None) -> int:
    """Return the index of a position that `ast` gives, which counts bytes in its line."""
    lines = text.splitlines(keepends=True)
    before = lines[(line or 1) - 1].encode()[:column].decode()
    return sum(map(len, lines[: (line or 1) - 1])) + len(before)


def _bound(body: Iterable[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield each name that a module defines, with the source that defines it."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, ast.unparse(node)
            case ast.Import():
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    yield bound, ast.unparse(ast.Import([alias]))
            case ast.ImportFrom():
                for alias in node.names:
                    single = ast.ImportFrom(node.module, [alias], node.level)
                    yield alias.asname or alias.name, ast.unparse(single)
            case ast.Assign() | ast.AnnAssign():
                yield _target(node), ast.unparse(node)


def _names(node: ast.stmt) -> set[str]:
    """Return the names that a statement uses, and those that it lists for export."""
    used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    constants = (part for part in ast.walk(node) if isinstance(part, ast.Constant))
    return used | {part.value for part in constants if isinstance(part.value, str)}


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return ", ".join(map(ast.unparse, targets))


def _is_fixture(node: Definition) -> bool:
    return any("fixture" in ast.unparse(item) for item in node.decorator_list)


def _end_of_docstring(tree: ast.Module) -> int:
    if ast.get_docstring(tree) is None:
        return 0
    return tree.body[0].end_lineno or 0


def _source(text: str, node: Definition) -> str:
    """Return a definition as it is written, with its decorators."""
    first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
