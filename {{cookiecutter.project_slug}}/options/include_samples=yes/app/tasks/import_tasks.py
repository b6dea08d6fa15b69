"""Tasks that end the import of a test report.

The stages before the end, and their order, are in `app/workflows/data_pipeline`.
"""

from app.services import imports
from app.services.errors import PermanentError
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.tasks.import_tasks.summarise_report",
    queue="cpu",
    idempotent="natural key: a report has one summary",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=DATABASE.errors,
    max_retries=DATABASE.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=240,
    time_limit=300,
)
def summarise_report(self: DurableTask[[int], int], report_id: int) -> int:
    """End an import with its summary.

    Args:
        report_id: primary key of a `Report`, all of whose chunks are loaded.

    Returns:
        How many cases the report brought in.
    """
    return imports.summarise(report_id)["cases"]


@shared_task(
    bind=True,
    name="app.tasks.import_tasks.fail_report",
    queue="fast",
    idempotent="by nature: a report that has failed stays so",
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
def fail_report(
    self: DurableTask[[str, int, int | None], str],
    failed_task_id: str,
    report_id: int,
    chunk: int | None = None,
) -> str:
    """End an import as failed; the error callback of its tasks.

    Args:
        failed_task_id: given by Celery; the reason is this task's result.
        report_id: primary key of a `Report`.
        chunk: number of the chunk that the task worked on, if it was one.

    Returns:
        The reason.
    """
    reason = _explain(self.AsyncResult(failed_task_id).result)
    imports.fail(report_id, reason, chunk)
    return reason


def _explain(error: object) -> str:
    """Return an error in words: ours speak for themselves, others are named by type."""
    if isinstance(error, PermanentError):
        return str(error)
    return f"{type(error).__name__}: {error}" if error else "unknown; see the log"
