"""No task waits for another one."""

import ast
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.rule import rule
from tools.contract.syntax import Function, last_name, walk
from tools.contract.tasks import Code

ENQUEUES = (
    "delay",
    "apply_async",
    "AsyncResult",
    "GroupResult",
    "send_task",
    "restore",
)
CANVAS = ("celery.group", "celery.chain", "celery.chord")
WAITS = ("get", "join", "join_native", "wait", "collect", "iterate", "iter_native")
ALLOWING = ("celery.result.allow_join_result",)

# What of a result is a result again, and what makes a collection of what it is given.
PARTS = ("parent", "children", "results")
COLLECTIONS = ("builtins.list", "builtins.tuple", "builtins.zip", "builtins.enumerate")


@rule(
    "waiting-for-results",
    "A task that waits holds its process: when all wait, nobody works for any of them.",
)
def waiting_for_results(code: Code) -> Iterator[Finding]:
    """Find code of the business that waits for the result of a task."""
    mend = "compose them: a chain for one after the other, a group or a chord for many"
    for path in code.python_in("app/"):
        for function in code.functions(path):
            for node in _waiting(code, path, function):
                problem = f"waits for results by {ast.unparse(node)}"
                yield Finding(path, node.lineno, problem, mend)


def _waiting(code: Code, path: str, function: Function) -> Iterator[ast.expr]:
    results = _results(code, path, function)
    for node in ast.walk(function):
        if isinstance(node, ast.While):
            if any(_is_result(code, path, part, results) for part in walk([node.test])):
                yield node.test
        elif isinstance(node, ast.Call):
            called = node.func
            if code.names.of(path, called) in ALLOWING:
                yield called
            elif isinstance(called, ast.Attribute) and called.attr in WAITS:
                if _is_result(code, path, called.value, results):
                    yield called


def _results(code: Code, path: str, function: Function) -> set[str]:
    """Return the names in a function that hold results, or collections of them."""
    names: set[str] = set()
    before = -1
    while len(names) > before:
        before = len(names)
        for node in ast.walk(function):
            target, value = _assigned(node)
            if value is not None and _is_result(code, path, value, names):
                names |= {one.id for one in walk(target) if isinstance(one, ast.Name)}
    return names


def _assigned(node: ast.AST) -> tuple[list[ast.expr], ast.expr | None]:
    """Return what a node gives a value to, and the value."""
    if isinstance(node, ast.Assign):
        return node.targets, node.value
    if isinstance(node, ast.AnnAssign | ast.NamedExpr | ast.AugAssign):
        return [node.target], node.value
    if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        return [node.target], node.iter
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("append", "extend", "add") and node.args:
            return [node.func.value], node.args[0]
    return [], None


def _is_result(code: Code, path: str, node: ast.AST, names: set[str]) -> bool:
    """Whether an expression is a result, or a collection of results."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Call):
        if last_name(node.func) in ENQUEUES:
            return True
        # `group(…)()`
        made_by = node.func.func if isinstance(node.func, ast.Call) else None
        if code.names.of(path, made_by) in CANVAS:
            return True
        collects = code.names.of(path, node.func) in COLLECTIONS
        return collects and any(
            _is_result(code, path, argument, names) for argument in node.args
        )
    return any(_is_result(code, path, part, names) for part in _parts(node))


def _parts(node: ast.AST) -> list[ast.expr]:
    """Return what an expression holds or picks from."""
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        return [node.elt]
    if isinstance(node, ast.DictComp):
        return [node.value]
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return node.elts
    if isinstance(node, ast.Dict):
        return node.values
    if isinstance(node, ast.Attribute):
        return [node.value] if node.attr in PARTS else []
    if isinstance(node, ast.Subscript | ast.Starred | ast.NamedExpr):
        return [node.value]
    return []
