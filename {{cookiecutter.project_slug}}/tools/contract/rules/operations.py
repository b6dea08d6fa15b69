"""What differs between deployments stands in the settings, and what happens in the log."""

import ast
import re
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.rule import rule
from tools.contract.syntax import keywords
from tools.contract.tasks import Code

SETTINGS = "declare it in config/app_env.py and .env.example, and read env.NAME"

_ADDRESS = re.compile(
    r"(?:https?|rediss?|amqps?|postgres(?:ql)?|smtps?|ftps?)://[\w\[]"
)
_RATE = re.compile(r"\d+\s*(?:/|per)\s*(?:\d+\s*)?(?:s|m|h|d|second|minute|hour|day)s?")

# Options whose value is a matter of the deployment.
OPERATIONAL = (
    *("timeout", "connect_timeout", "read_timeout", "socket_timeout", "concurrency"),
    *("worker_concurrency", "prefetch_multiplier", "visibility_timeout", "broker"),
    *("broker_url", "broker_transport_options", "result_backend", "backend"),
    *("time_limit", "soft_time_limit", "rate_limit"),
)

ENVIRONMENT = ("os.environ", "os.getenv", "os.environb")
# Says which settings, before there are any; and the one that reads them.
SETTINGS_MODULE = "DJANGO_SETTINGS_MODULE"
READER = "config/env.py"

PRINTS = (
    *("builtins.print", "pprint.pprint", "pprint.pp"),
    *("sys.stdout.write", "sys.stderr.write"),
)


@rule(
    "hard-coded",
    "What a deployment needs to change must not need a release.",
)
def hard_coded(code: Code) -> Iterator[Finding]:
    """Find addresses, timeouts, rates and options of the broker outside the settings."""
    decorators = {task.decorator for task in code.tasks}
    for path in code.python_in("app/"):
        skipped = _docstrings(code, path)
        for call in code.nodes(path, ast.Call):
            if call in decorators:  # a task's own limits stand there
                skipped |= set(keywords(call).values())
                continue
            for option, value in keywords(call).items():
                if option in OPERATIONAL and _is_spelled_out(value):
                    skipped.add(value)
                    problem = f"{option}={ast.unparse(value)} is hard-coded"
                    yield Finding(path, value.lineno, problem, SETTINGS)
        for text in code.nodes(path, ast.Constant):
            if text not in skipped and _is_operational(text.value):
                problem = f"{text.value!r} is hard-coded"
                yield Finding(path, text.lineno, problem, SETTINGS)
        yield from _configuration(code, path)


@rule(
    "environment-access",
    "A variable that is read here is in no list: nobody who deploys can know of it.",
)
def environment_access(code: Code) -> Iterator[Finding]:
    """Find code that reads the environment past the settings."""
    for path in code.python_in("app/", "config/", "ledger/"):
        if path == READER:
            continue
        allowed = {
            node
            for call in code.nodes(path, ast.Call)
            if call.args and getattr(call.args[0], "value", "") == SETTINGS_MODULE
            for node in ast.walk(call.func)
        }
        for kind in (ast.Attribute, ast.Name):
            for node in code.nodes(path, kind):
                name = code.names.of(path, node)
                if name in ENVIRONMENT and node not in allowed:
                    yield Finding(path, node.lineno, f"reads {name}", SETTINGS)


@rule(
    "no-print",
    "A print has no level, no time and no run: in production nobody finds it.",
)
def no_print(code: Code) -> Iterator[Finding]:
    """Find prints."""
    mend = 'log = structlog.stdlib.get_logger("app.…"); log.info("what happened", id=…)'
    for path in code.python_in("app/", "config/", "ledger/"):
        for call in code.nodes(path, ast.Call):
            name = code.names.of(path, call.func)
            if name in PRINTS:
                yield Finding(
                    path, call.lineno, f"calls {ast.unparse(call.func)}", mend
                )


def _docstrings(code: Code, path: str) -> set[ast.expr]:
    """Return the texts that stand alone: docstrings."""
    return {node.value for node in code.nodes(path, ast.Expr)}


def _is_spelled_out(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant | ast.Dict) and not (
        isinstance(node, ast.Constant) and node.value in (None, "")
    )


def _is_operational(value: object) -> bool:
    if not isinstance(value, str):
        return False
    return bool(_ADDRESS.match(value) or _RATE.fullmatch(value))


def _configuration(code: Code, path: str) -> Iterator[Finding]:
    """Find code that configures Celery by itself."""
    mend = "configure Celery in config/settings.py"
    for call in code.nodes(path, ast.Call):
        name = code.names.of(path, call.func)
        if name == "celery.Celery" or name.endswith(".conf.update"):
            problem = f"configures Celery by {ast.unparse(call.func)}()"
            yield Finding(path, call.lineno, problem, mend)
    for node in code.nodes(path, ast.Attribute):
        owner = node.value
        is_set = isinstance(node.ctx, ast.Store)
        if is_set and isinstance(owner, ast.Attribute) and owner.attr == "conf":
            problem = f"configures Celery by {ast.unparse(node)}"
            yield Finding(path, node.lineno, problem, mend)
