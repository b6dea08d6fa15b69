"""The first stage: the file becomes chunks of cases."""

from app.services import imports
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.workflows.data_pipeline.extract.extract_cases",
    queue="cpu",
    idempotent="natural key: report and number of the chunk",
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
def extract_cases(self: DurableTask[[int], int], report_id: int) -> int:
    """Read a report into chunks; the report counts the bytes that are read.

    Args:
        report_id: primary key of a `Report`.

    Returns:
        The number of chunks.
    """
    return imports.extract(report_id)
