"""What is retried, and what becomes of the errors that are not."""

import ast
from collections.abc import Iterator

from tools.contract.errors import Errors
from tools.contract.finding import Finding
from tools.contract.rule import rule
from tools.contract.syntax import calls, keywords, walk
from tools.contract.tasks import Code, Task

TOO_BROAD = ("builtins.Exception", "builtins.BaseException")
FINAL = "app.services.errors.PermanentError"

POLICY = "RetryPolicy"
SPECIFIC = "name the errors that another attempt may mend"

# `retry(args, kwargs, exc, …)`: https://docs.celeryq.dev/en/stable/reference/celery.app.task.html
EXC_POSITION = 2


@rule(
    "retry-errors",
    "Only some errors pass by themselves; a retried bug fails for an hour before it shows.",
)
def retry_errors(code: Code) -> Iterator[Finding]:
    """Find tasks and policies that retry nothing in particular."""
    for task in code.tasks:
        errors = task.declared.get("autoretry_for")
        if errors is None:
            mend = "write autoretry_for=<POLICY>.errors, of retry_policies.py"
            yield task.finding("autoretry_for is missing", mend)
        elif _is_of_policy(code, task.path, errors):
            continue  # found where the policy is written
        elif problem := _too_broad(code, task.path, errors):
            yield task.finding(f"autoretry_for {problem}", SPECIFIC, at=errors)
    for path in code.python_in("app/", "ledger/"):
        for call in code.nodes(path, ast.Call):
            given = [*call.args[:1], *(one.value for one in call.keywords)]
            for errors in given if _is_policy(code, path, call) else ():
                if problem := _too_broad(code, path, errors):
                    problem = f"a policy's errors {problem}"
                    yield Finding(path, errors.lineno, problem, SPECIFIC)


@rule(
    "bare-retry",
    "Without `exc`, the run ends as MaxRetriesExceeded: nobody learns why.",
)
def bare_retry(code: Code) -> Iterator[Finding]:
    """Find `self.retry()` that does not say what went wrong."""
    runs = {"self", "celery.current_task", *(task.name for task in code.tasks)}
    for path in code.thin_files:
        for call in code.nodes(path, ast.Call):
            owner, _, method = code.names.of(path, call.func).rpartition(".")
            is_retry = method == "retry" and owner in runs
            given = "exc" in keywords(call) or len(call.args) > EXC_POSITION
            if is_retry and not given:
                problem = f"{ast.unparse(call.func)}() without exc"
                mend = "pass exc=error, or let the service raise a TransientError"
                yield Finding(path, call.lineno, problem, mend)


@rule("swallowed-errors", "An error that is swallowed looks like success.")
def swallowed_errors(code: Code) -> Iterator[Finding]:
    """Find code of tasks that catches everything and lets nothing on."""
    mend = "catch the errors that the service documents, or raise it again"
    for path in code.thin_files:
        for handler in code.nodes(path, ast.ExceptHandler):
            caught = Errors(code).in_expression(path, handler.type)
            broad = handler.type is None or not caught.isdisjoint(TOO_BROAD)
            raises = any(isinstance(node, ast.Raise) for node in walk(handler.body))
            if broad and not raises:
                yield Finding(path, handler.lineno, "catches every error", mend)
        for call in code.nodes(path, ast.Call):
            if code.names.of(path, call.func) == "contextlib.suppress":
                if any(code.names.of(path, arg) in TOO_BROAD for arg in call.args):
                    yield Finding(path, call.lineno, "suppresses every error", mend)


@rule(
    "unhandled-errors",
    "An error that a service documents is part of its answer, and needs a decision.",
)
def unhandled_errors(code: Code) -> Iterator[Finding]:
    """Find documented errors of services that a task neither handles nor retries.

    A `PermanentError` says by its type that it is final; any other error that is meant to
    end the task stands under `Raises:` in the task's docstring.
    """
    errors = Errors(code)
    for task in code.tasks:
        declared = task.declared.get("autoretry_for", ast.Tuple(elts=[]))
        retried = errors.in_expression(task.path, declared)
        final = set(errors.documented(task.path, task.function)) | {FINAL}
        for call, handled in _calls(errors, task):
            function = code.names.of(task.path, call.func)
            for error in errors.documented_by_service(function):
                if not errors.is_any_of(error, retried | final | handled):
                    short = error.rpartition(".")[2]
                    problem = f"{ast.unparse(call.func)} may raise {short}"
                    mend = (
                        f"catch it, retry it (autoretry_for), or name {short} under "
                        "`Raises:` of the task's docstring if it is final"
                    )
                    yield task.finding(problem, mend, at=call)


def _is_policy(code: Code, path: str, node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return code.names.of(path, called).rpartition(".")[2] == POLICY


def _is_of_policy(code: Code, path: str, node: ast.expr) -> bool:
    """Whether it is `NETWORK.errors` of a policy `NETWORK`."""
    owner = node.value if isinstance(node, ast.Attribute) else None
    made = code.names.value(code.names.of(path, owner))
    return made is not None and _is_policy(code, *made)


def _too_broad(code: Code, path: str, node: ast.expr) -> str:
    if isinstance(node, ast.Tuple | ast.List) and not node.elts:
        return "is empty"
    broad = Errors(code).in_expression(path, node).intersection(TOO_BROAD)
    return f"has {min(broad).removeprefix('builtins.')} in it" if broad else ""


def _calls(errors: Errors, task: Task) -> Iterator[tuple[ast.Call, set[str]]]:
    """Yield the calls in a task's body, and what is caught around each."""
    caught: dict[ast.Call, set[str]] = {call: set() for call in calls([task.function])}
    for node in ast.walk(task.function):
        if isinstance(node, ast.Try):
            for handler in node.handlers:
                types = errors.in_expression(task.path, handler.type)
                for call in calls(node.body):
                    caught[call] |= types
    yield from caught.items()
