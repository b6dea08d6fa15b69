"""The second stage, per chunk: cases that cannot be imported are put aside."""

from app.services import imports
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.workflows.data_pipeline.validate.validate_chunk",
    queue="fast",
    idempotent="natural key: the chunk moves on from one state once",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=DATABASE.errors,
    max_retries=DATABASE.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=25,
    time_limit=30,
)
def validate_chunk(
    self: DurableTask[[int, int], int], report_id: int, number: int
) -> int:
    """Put aside the bad cases of a chunk.

    Args:
        report_id: primary key of a `Report`.
        number: of the chunk in the report.

    Returns:
        How many cases were rejected.
    """
    return imports.validate(report_id, number)
