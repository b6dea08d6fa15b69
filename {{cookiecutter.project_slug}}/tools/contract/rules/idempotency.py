"""Every task says why it may run twice, and in a way that holds."""

import ast
from collections.abc import Iterator

from tools.contract.finding import Finding
from tools.contract.rule import rule
from tools.contract.syntax import calls, keywords, literal, walk
from tools.contract.tasks import Code, Task
from tools.contract.topology import queues

NATURAL_KEY = "natural key: "
REASONS = ("by nature: ", NATURAL_KEY)

KEY = "idempotency_key"

# A queue with a longer limit is for work that waits for networks, or takes its time.
LONGEST_TRANSACTION_SECONDS = 60


@rule(
    "idempotency",
    "A worker that dies has its task started again: whatever it did, it does twice.",
)
def idempotency(code: Code) -> Iterator[Finding]:
    """Find tasks that do not declare how a second start does no harm.

    By `atomic=True`, `self.idempotency_key` in the body, or a reason. Not by `unique_key`,
    which keeps a second call away and not a second start.
    """
    mend = (
        'write atomic=True, idempotent="by nature: …" or "natural key: …", '
        "or hand self.idempotency_key to the service"
    )
    for task in code.tasks:
        reason = task.declared.get("idempotent")
        if reason is not None:
            if not _is_reason(literal(reason)):
                problem = f"idempotent={ast.unparse(reason)} is no reason"
                mend_reason = 'write idempotent="by nature: …" or "natural key: …"'
                yield task.finding(problem, mend_reason, at=reason)
        elif literal(task.declared.get("atomic")) is not True and not _reads_key(
            task, task.function
        ):
            unique = "unique_key keeps away a second call, no second start; it "
            problem = "does not say why it may run twice"
            if "unique_key" in task.declared:
                problem = unique + problem
            yield task.finding(problem, mend)


@rule(
    "handed-on-key",
    "Another service tells runs apart by the key: it drops the second run that has the same "
    "one.",
)
def handed_on_key(code: Code) -> Iterator[Finding]:
    """Find calls that hand on an `idempotency_key` which is not that of the run.

    A task that declares a natural key may make its own of its arguments.
    """
    for task in code.tasks:
        reason = literal(task.declared.get("idempotent"))
        is_natural = str(reason).startswith(NATURAL_KEY)
        for call in calls([task.function]):
            key = keywords(call).get(KEY)
            if key is None or _reads_key(task, key) or _holds_key(task, key):
                continue
            if isinstance(key, ast.Constant) or not is_natural:
                problem = f"hands on {KEY}={ast.unparse(key)}"
                mend = f"write {KEY}={_run(task)}.{KEY}"
                yield task.finding(problem, mend, at=key)


@rule(
    "atomic-queue",
    "A transaction that waits for a network, or works for minutes, holds its locks all the "
    "while.",
)
def atomic_queue(code: Code) -> Iterator[Finding]:
    """Find `atomic=True` on queues for work that waits or takes long."""
    topology = queues(code)
    for task in code.tasks:
        atomic = task.declared.get("atomic")
        queue = topology.get(str(literal(task.declared.get("queue"))))
        if literal(atomic) is not True or queue is None:
            continue
        if queue.time_limit > LONGEST_TRANSACTION_SECONDS:
            problem = f"atomic=True on queue {queue.name!r}, of {queue.time_limit} s"
            mend = (
                f"take a queue of at most {LONGEST_TRANSACTION_SECONDS} s, or hand "
                "self.idempotency_key to the service in place of atomic=True"
            )
            yield task.finding(problem, mend, at=atomic)


def _is_reason(value: object) -> bool:
    if not isinstance(value, str):
        return False
    return any(value.startswith(kind) and value != kind for kind in REASONS)


def _run(task: Task) -> str:
    """Return what the task calls its run: `self`, the first parameter."""
    arguments = task.function.args
    first = [*arguments.posonlyargs, *arguments.args][:1]
    return first[0].arg if first else "self"


def _reads_key(task: Task, node: ast.AST) -> bool:
    """Whether `self.idempotency_key` stands somewhere in a tree."""
    return any(
        isinstance(part, ast.Attribute)
        and part.attr == KEY
        and ast.unparse(part.value) == _run(task)
        for part in ast.walk(node)
    )


def _holds_key(task: Task, node: ast.expr) -> bool:
    """Whether an expression uses a local name that was made of the run's key."""
    names = {part.id for part in walk([node]) if isinstance(part, ast.Name)}
    return any(
        isinstance(part, ast.Assign)
        and _reads_key(task, part.value)
        and not names.isdisjoint(ast.unparse(target) for target in part.targets)
        for part in ast.walk(task.function)
    )
