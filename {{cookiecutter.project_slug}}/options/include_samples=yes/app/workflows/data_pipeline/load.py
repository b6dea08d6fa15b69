"""The last stage, per chunk: cases become results."""

from app.services import imports
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.workflows.data_pipeline.load.load_chunk",
    queue="fast",
    atomic=True,
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
def load_chunk(self: DurableTask[[int, int], int], report_id: int, number: int) -> int:
    """Write the cases of a chunk into the table of results.

    Atomic: the cases, the end of this run and its part of the chord are one commit.

    Args:
        report_id: primary key of a `Report`.
        number: of the chunk in the report.

    Returns:
        How many cases this call brought in.
    """
    return imports.load(report_id, number)
