"""The rules of the contract.

A new rule is a function in a module here, an entry in `RULES`, and a page in `docs/rules/`.
"""

from tools.contract.rule import Rule
from tools.contract.rules import (
    arguments,
    declarations,
    environment,
    files,
    idempotency,
    layout,
    limits,
    operations,
    retries,
    thin,
    waiting,
    workers,
)
from tools.contract.suppression import suppression

RULES: tuple[Rule, ...] = (
    # a task's decorator
    declarations.explicit_options,
    declarations.bound_task,
    declarations.task_name,
    declarations.acks_late,
    declarations.retry_policy,
    retries.retry_errors,
    limits.time_limits,
    limits.known_queue,
    limits.long_countdown,
    idempotency.idempotency,
    idempotency.handed_on_key,
    idempotency.atomic_queue,
    # its arguments
    arguments.json_arguments,
    arguments.mutable_default,
    # its body
    thin.task_queries,
    thin.task_network,
    thin.task_files,
    thin.task_length,
    waiting.waiting_for_results,
    retries.bare_retry,
    retries.unhandled_errors,
    retries.swallowed_errors,
    # where things are
    layout.domain_modules,
    layout.periodic_tasks,
    layout.test_modules,
    limits.queue_limits,
    workers.queue_worker,
    # operations
    operations.hard_coded,
    operations.environment_access,
    operations.no_print,
    environment.env_documented,
    environment.env_declared,
    environment.env_used,
    # files
    files.python_syntax,
    files.file_length,
    files.template_tags,
    suppression,
)
