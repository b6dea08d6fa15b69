"""Tasks of the analytics domain."""

from app.services import analytics
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.tasks.analytics_tasks.compute_overview",
    queue="cpu",
    unique_key="overview:{days}",
    idempotent="by nature: it only reads, and what is fresh stays in the cache",
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
def compute_overview(self: DurableTask[[int], str], days: int) -> str:
    """Compute an overview and keep it in the cache.

    Args:
        days: length of the window that ends now.

    Returns:
        When it was computed, as ISO 8601.
    """
    return analytics.compute(days)["computed_at"]
