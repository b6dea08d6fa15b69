"""The third stage, per chunk: cases are brought into one form."""

from app.services import imports
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.workflows.data_pipeline.transform.transform_chunk",
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
def transform_chunk(
    self: DurableTask[[int, int], None], report_id: int, number: int
) -> None:
    """Normalise the cases of a chunk.

    Args:
        report_id: primary key of a `Report`.
        number: of the chunk in the report.
    """
    imports.transform(report_id, number)
