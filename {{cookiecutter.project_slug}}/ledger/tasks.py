"""What the ledger does on the clock; `config/schedule.py` says when."""

import logging

from celery.exceptions import SoftTimeLimitExceeded

from ledger import prune as pruning
from ledger.claim import UNREACHABLE
from ledger.decorator import shared_task
from ledger.task import DurableTask

log = logging.getLogger(__name__)


@shared_task(
    bind=True,
    name="ledger.tasks.prune",
    queue="maintenance",
    idempotent="by nature: what is deleted is not found again",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=UNREACHABLE,
    max_retries=5,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=840,
    time_limit=900,
)
def prune(self: DurableTask[[], int]) -> int:
    """Delete runs past their time; what time does not suffice for is left to the next tick.

    Returns:
        How many rows were deleted.
    """
    deleted = 0
    try:
        for rows in pruning.prune():
            deleted += rows
    except SoftTimeLimitExceeded:
        log.warning("%d rows pruned, the rest next time", deleted)
    return deleted
