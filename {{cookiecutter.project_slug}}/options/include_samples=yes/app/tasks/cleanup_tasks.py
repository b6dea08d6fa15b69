"""Tasks of the cleanup domain: one per kind, so that one that fails stops no other.

A run that reaches its soft limit has deleted whole batches; the next one does the rest.
"""

from app.services import cleanup
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.tasks.cleanup_tasks.remove_reports",
    queue="maintenance",
    idempotent="by nature: what is deleted is not found again",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=DATABASE.errors,
    max_retries=DATABASE.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=840,
    time_limit=900,
)
def remove_reports(self: DurableTask[[], int]) -> int:
    """Delete reports past their retention.

    Returns:
        How many reports were deleted.
    """
    return cleanup.remove_reports()


@shared_task(
    bind=True,
    name="app.tasks.cleanup_tasks.remove_exports",
    queue="maintenance",
    idempotent="by nature: what is deleted is not found again",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=DATABASE.errors,
    max_retries=DATABASE.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=840,
    time_limit=900,
)
def remove_exports(self: DurableTask[[], int]) -> int:
    """Delete exports past their retention.

    Returns:
        How many exports were deleted.
    """
    return cleanup.remove_exports()


@shared_task(
    bind=True,
    name="app.tasks.cleanup_tasks.remove_mailings",
    queue="maintenance",
    idempotent="by nature: what is deleted is not found again",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=DATABASE.errors,
    max_retries=DATABASE.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=840,
    time_limit=900,
)
def remove_mailings(self: DurableTask[[], int]) -> int:
    """Delete mailings past their retention.

    Returns:
        How many deliveries were deleted.
    """
    return cleanup.remove_mailings()
