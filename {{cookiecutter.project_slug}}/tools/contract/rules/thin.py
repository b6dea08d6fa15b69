"""Tasks and workflows are thin: what they do stands in services, where it can be tested."""

import ast
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.rule import rule
from tools.contract.syntax import Function
from tools.contract.tasks import Code

SERVICE = "move it into a function of app/services and call that"

MANAGERS = ("objects", "_default_manager", "_base_manager")
QUERIES = (
    *("save", "delete", "filter", "exclude", "annotate", "aggregate", "bulk_create"),
    *("bulk_update", "get_or_create", "update_or_create", "values_list"),
    *("select_related", "prefetch_related", "select_for_update", "refresh_from_db"),
    *("cursor", "execute", "executemany", "raw", "get_model"),
)
# Of a connection: found where that is imported.
SQL = ("cursor", "execute", "executemany")
QUERY_FUNCTIONS = (
    "django.shortcuts.get_object_or_404",
    "django.shortcuts.get_list_or_404",
    "django.contrib.auth.get_user_model",
)
DATABASES = (
    *("django.db.connection", "django.db.connections", "sqlite3", "psycopg"),
    *("psycopg2", "sqlalchemy", "asyncpg", "MySQLdb", "pymysql"),
)

NETWORK = (
    *("requests", "httpx", "aiohttp", "urllib.request", "urllib3", "http.client"),
    *("httplib2", "pycurl", "boto3", "botocore", "smtplib", "ftplib", "imaplib"),
    *("socket", "ssl", "websockets", "websocket", "grpc", "paramiko", "redis"),
    *("django.core.mail",),
)

FILE_MODULES = (
    *("shutil", "tempfile", "glob", "fileinput", "zipfile", "tarfile", "gzip"),
    *("django.core.files",),
)
FILE_FUNCTIONS = (
    *("builtins.open", "io.open", "os.open", "os.remove", "os.unlink", "os.rename"),
    *("os.replace", "os.mkdir", "os.makedirs", "os.rmdir", "os.listdir", "os.walk"),
    *("os.scandir", "os.stat", "os.path.exists", "os.path.getsize", "codecs.open"),
)
FILE_METHODS = (
    *("read_text", "read_bytes", "write_text", "write_bytes", "open", "unlink"),
    *("touch", "mkdir", "rmdir", "iterdir", "rglob", "hardlink_to", "symlink_to"),
)

IMPORTERS = ("importlib.import_module", "builtins.__import__")

# Handling errors included; docstrings and nested headings of blocks are no statements.
MAX_STATEMENTS = 10


@rule("task-queries", "A query in a task is business logic that only a worker can run.")
def task_queries(code: Code) -> Iterator[Finding]:
    """Find queries, by Django's ORM or in SQL."""
    for path in code.thin_files:
        imported = list(_imports(code, path, DATABASES))
        for name, line in imported:
            yield Finding(path, line, f"imports {name}", SERVICE)
        for attribute in code.nodes(path, ast.Attribute):
            if attribute.attr in MANAGERS:
                problem = f"queries by {ast.unparse(attribute)}"
                yield Finding(path, attribute.lineno, problem, SERVICE)
        for call in code.nodes(path, ast.Call):
            is_reported = imported and getattr(call.func, "attr", "") in SQL
            if _is_query(code, path, call.func) and not is_reported:
                problem = f"queries by {ast.unparse(call.func)}()"
                yield Finding(path, call.lineno, problem, SERVICE)


@rule(
    "task-network", "A network call in a task is tested by nobody and shared by nobody."
)
def task_network(code: Code) -> Iterator[Finding]:
    """Find clients of HTTP and of other protocols."""
    for path in code.thin_files:
        for name, line in _imports(code, path, NETWORK):
            yield Finding(path, line, f"imports {name}", SERVICE)


@rule("task-files", "The worker that runs the next attempt has another disk.")
def task_files(code: Code) -> Iterator[Finding]:
    """Find code that reads or writes files."""
    mend = f"{SERVICE}; keep files in the storage (django.core.files.storage)"
    for path in code.thin_files:
        for name, line in _imports(code, path, FILE_MODULES):
            yield Finding(path, line, f"imports {name}", mend)
        for call in code.nodes(path, ast.Call):
            method = getattr(call.func, "attr", "")
            full_name = code.names.of(path, call.func)
            if full_name in FILE_FUNCTIONS or method in FILE_METHODS:
                problem = f"touches files by {ast.unparse(call.func)}()"
                yield Finding(path, call.lineno, problem, mend)


@rule("task-length", "A task of many steps is a service in the wrong place.")
def task_length(code: Code) -> Iterator[Finding]:
    """Find functions of more than `MAX_STATEMENTS` statements."""
    for path in code.thin_files:
        for function in code.functions(path):
            count = _statements(function)
            if count > MAX_STATEMENTS:
                problem = (
                    f"{function.name} has {count} statements, "
                    f"at most {MAX_STATEMENTS} are accepted"
                )
                yield Finding(path, function.lineno, problem, SERVICE)


def _is_query(code: Code, path: str, function: ast.expr) -> bool:
    if code.names.of(path, function) in QUERY_FUNCTIONS:
        return True
    if not isinstance(function, ast.Attribute) or function.attr not in QUERIES:
        return False
    # `Model.objects.filter(…)` is one query; its manager is reported.
    return not any(
        isinstance(node, ast.Attribute) and node.attr in (*MANAGERS, *QUERIES)
        for node in ast.walk(function.value)
    )


def _imports(
    code: Code, path: str, modules: tuple[str, ...]
) -> Iterator[tuple[str, int]]:
    """Yield the imports of any of the modules or of a part of them, and their lines."""
    for plain in code.nodes(path, ast.Import):
        for alias in plain.names:
            if _is_part(alias.name, modules):
                yield alias.name, plain.lineno
    for taken in code.nodes(path, ast.ImportFrom):
        names = [f"{taken.module}.{alias.name}" for alias in taken.names]
        found = next((name for name in names if _is_part(name, modules)), None)
        if found and not taken.level:
            yield found, taken.lineno
    for call in code.nodes(path, ast.Call):
        if call.args and code.names.of(path, call.func) in IMPORTERS:
            argument = call.args[0]
            name = argument.value if isinstance(argument, ast.Constant) else None
            if isinstance(name, str) and _is_part(name, modules):
                yield name, call.lineno


def _is_part(name: str, modules: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _statements(function: Function) -> int:
    """Count the statements of a function; its docstring is none."""
    nested = sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1
    return nested - (ast.get_docstring(function) is not None)
