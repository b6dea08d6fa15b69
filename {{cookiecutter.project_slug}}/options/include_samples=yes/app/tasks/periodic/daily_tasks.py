"""Tasks that run once a day."""

from celery import group

from app.services import notification
from app.tasks import cleanup_tasks
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.tasks.periodic.daily_tasks.prune_webhook_deliveries",
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
def prune_webhook_deliveries(self: DurableTask[[], int]) -> int:
    """Delete webhook deliveries past their retention.

    Returns:
        How many rows were deleted.
    """
    return notification.prune()


@shared_task(
    bind=True,
    name="app.tasks.periodic.daily_tasks.remove_expired",
    queue="maintenance",
    idempotent="by nature: it only starts tasks that may run twice",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=DATABASE.errors,
    max_retries=DATABASE.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=20,
    time_limit=30,
)
def remove_expired(self: DurableTask[[], None]) -> None:
    """Start the removal of everything that is past its retention."""
    group(
        cleanup_tasks.remove_exports.si(),
        cleanup_tasks.remove_reports.si(),
        cleanup_tasks.remove_mailings.si(),
    ).apply_async()
