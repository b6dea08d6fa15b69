"""Arguments of tasks: what JSON can carry, and a worker can trust."""

import ast
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.rule import rule
from tools.contract.syntax import expression, literal
from tools.contract.tasks import TESTS, Code, Task

PLAIN = ("builtins.int", "builtins.str", "builtins.float", "builtins.bool")
# What holds other values; `typing.X` and `collections.abc.X` are read as `X`.
HOLDING = (
    *("builtins.list", "builtins.dict", "List", "Dict", "Optional", "Union"),
    *("Sequence", "Mapping", "Required", "NotRequired"),
)
# A TypedDict is a dict; what its keys hold is checked by mypy.
TYPED_DICTS = ("TypedDict",)

MUTABLE = ("builtins.list", "builtins.dict", "builtins.set", "collections.defaultdict")

# Their calls make values of which a message can only carry a text.
DATES = (
    *("datetime.datetime", "datetime.date", "datetime.time", "datetime.timedelta"),
    *("django.utils.timezone", "uuid.uuid4", "decimal.Decimal"),
)
CALLS = ("delay", "apply_async", "s", "si", "signature", "apply")

Default = tuple[ast.arg, ast.expr]


@rule(
    "json-arguments",
    "A message is JSON, read later by another version: only plain values arrive as sent.",
)
def json_arguments(code: Code) -> Iterator[Finding]:
    """Find arguments without a type or of one that is no JSON, and dates that are sent."""
    mend = "take int, str, float, bool, None, list, dict or a TypedDict: an id, not a model"
    for task in code.tasks:
        if not task.path.startswith("app/"):
            continue  # the machinery passes on what others send
        for argument in _arguments(task):
            if argument.annotation is None:
                problem = f"argument {argument.arg} has no type"
                yield task.finding(problem, mend, at=argument)
            elif wrong := _not_json(code, task.path, argument.annotation):
                problem = f"argument {argument.arg} is {wrong}, which is no JSON"
                yield task.finding(problem, mend, at=argument)
    for path in code.python_in("app/"):
        for call in code.nodes(path, ast.Call):
            if isinstance(call.func, ast.Attribute) and call.func.attr in CALLS:
                yield from _dates(code, path, call)


@rule(
    "mutable-default", "A default that one run changes is another one in the next run."
)
def mutable_default(code: Code) -> Iterator[Finding]:
    """Find defaults of tasks that can be changed."""
    for task in code.tasks:
        for argument, default in _defaults(task):
            called = default.func if isinstance(default, ast.Call) else None
            made = code.names.of(task.path, called) in MUTABLE
            if made or isinstance(default, ast.List | ast.Dict | ast.Set):
                problem = f"{argument.arg}={ast.unparse(default)} is shared by all runs"
                mend = f"write {argument.arg}: … | None = None"
                yield task.finding(problem, mend, at=default)


def _arguments(task: Task) -> list[ast.arg]:
    """Return the arguments of calls: the first of a bound task is its run."""
    given = task.function.args
    positional = [*given.posonlyargs, *given.args]
    if literal(task.declared.get("bind")) is True or (
        positional and positional[0].arg == "self"
    ):
        positional = positional[1:]
    others = [given.vararg, *given.kwonlyargs, given.kwarg]
    return [*positional, *(argument for argument in others if argument)]


def _defaults(task: Task) -> Iterator[Default]:
    given = task.function.args
    positional = [*given.posonlyargs, *given.args]
    last = positional[len(positional) - len(given.defaults) :]
    yield from zip(last, given.defaults, strict=True)
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        if default:
            yield argument, default


def _not_json(
    code: Code, path: str, node: ast.expr, seen: frozenset[str] = frozenset()
) -> str:
    """Return the part of a type that is no JSON, nothing if all of it is."""
    if isinstance(node, ast.Constant):
        if node.value is None:
            return ""
        if isinstance(node.value, str):
            written = expression(node.value)
            return _not_json(code, path, written, seen) if written else node.value
    if isinstance(node, ast.BinOp):
        sides = (node.left, node.right)
        return next(
            filter(None, (_not_json(code, path, one, seen) for one in sides)), ""
        )
    if isinstance(node, ast.Subscript):
        return _not_json_inside(code, path, node, seen)
    full_name = code.names.of(path, node)
    if full_name in PLAIN or full_name in seen or _is_typed_dict(code, full_name):
        return ""
    alias = code.names.value(full_name)
    return _not_json(code, *alias, seen | {full_name}) if alias else ast.unparse(node)


def _not_json_inside(
    code: Code, path: str, node: ast.Subscript, seen: frozenset[str]
) -> str:
    outside = _short(code.names.of(path, node.value))
    if outside == "Literal":
        return ""
    if outside not in HOLDING:
        return ast.unparse(node)
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return next(filter(None, (_not_json(code, path, one, seen) for one in inside)), "")


def _short(full_name: str) -> str:
    module, _, name = full_name.rpartition(".")
    return name if module in ("typing", "collections.abc") else full_name


def _is_typed_dict(
    code: Code, full_name: str, seen: frozenset[str] = frozenset()
) -> bool:
    found = code.names.class_of(full_name)
    if not found or full_name in seen:
        return False
    path, node = found
    bases = (code.names.of(path, base) for base in node.bases)
    return any(
        base.rpartition(".")[2] in TYPED_DICTS
        or _is_typed_dict(code, base, seen | {full_name})
        for base in bases
    )


def _dates(code: Code, path: str, call: ast.Call) -> Iterator[Finding]:
    """Find dates and the like among the arguments of a call that enqueues."""
    given = [*call.args, *(one.value for one in call.keywords if one.arg != "eta")]
    for value in (part for argument in given for part in _parts(argument)):
        made = code.names.of(path, value.func) if isinstance(value, ast.Call) else ""
        if made.startswith(DATES):
            problem = f"sends {ast.unparse(value)} as it is"
            mend = "send .isoformat() or str(), and read it in the service"
            yield Finding(path, value.lineno, problem, mend)


def _parts(node: ast.expr) -> list[ast.expr]:
    """Return what `args=[…]` and `kwargs={…}` hold, or the argument itself."""
    if isinstance(node, ast.Tuple | ast.List):
        return node.elts
    return node.values if isinstance(node, ast.Dict) else [node]
