"""Every task says why it may run twice."""

import ast
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.rule import rule
from tools.contract.syntax import literal
from tools.contract.tasks import Code, Task

REASONS = ("by nature: ", "natural key: ")

KEY = "idempotency_key"


@rule(
    "idempotency",
    "A worker that dies has its task started again: whatever it did, it does twice.",
)
def idempotency(code: Code) -> Iterator[Finding]:
    """Find tasks that do not declare how a second start does no harm.

    By `atomic=True`, a `unique_key`, `self.idempotency_key` in the body, or a reason.
    """
    mend = (
        'write atomic=True, unique_key=…, idempotent="by nature: …" or "natural key: …", '
        "or hand self.idempotency_key to the service"
    )
    for task in code.tasks:
        reason = task.declared.get("idempotent")
        if reason is not None:
            if not _is_reason(literal(reason)):
                problem = f"idempotent={ast.unparse(reason)} is no reason"
                mend_reason = 'write idempotent="by nature: …" or "natural key: …"'
                yield task.finding(problem, mend_reason, at=reason)
        elif not _is_declared(task):
            yield task.finding("does not say why it may run twice", mend)


def _is_reason(value: object) -> bool:
    if not isinstance(value, str):
        return False
    return any(value.startswith(kind) and value != kind for kind in REASONS)


def _is_declared(task: Task) -> bool:
    unique_key = literal(task.declared.get("unique_key"))
    return (
        literal(task.declared.get("atomic")) is True
        or (isinstance(unique_key, str) and bool(unique_key))
        or any(
            isinstance(node, ast.Attribute) and node.attr == KEY
            for node in ast.walk(task.function)
        )
    )
