"""Tasks that run once a month."""

from datetime import timedelta

from django.utils import timezone

from app.services import analytics
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.due import due_at
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.tasks.periodic.monthly_tasks.archive_last_month",
    queue="maintenance",
    idempotent="natural key: a month has one row of totals",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=DATABASE.errors,
    max_retries=DATABASE.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=540,
    time_limit=600,
)
def archive_last_month(self: DurableTask[[], str]) -> str:
    """Keep the totals of the month before the tick; a second run changes nothing.

    Returns:
        The month, such as `2026-11`.
    """
    due = timezone.localdate(due_at(self.request))
    last_day = due.replace(day=1) - timedelta(days=1)
    return str(analytics.archive_month(last_day))
