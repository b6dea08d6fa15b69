"""Tasks of the export domain."""

from celery.exceptions import SoftTimeLimitExceeded

from app.services import export
from app.tasks.utils.error_handlers import is_last_attempt
from app.tasks.utils.retry_policies import NETWORK
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.tasks.export_tasks.write_export",
    queue="slow",
    unique_key="export:{export_id}",
    idempotent="natural key: an export ends once, with the file in its row",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=NETWORK.errors,
    max_retries=NETWORK.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=1740,
    time_limit=1800,
)
def write_export(self: DurableTask[[int], str], export_id: int) -> str:
    """Write the file of an export.

    Progress is in the task's state: `PROGRESS` with `current` and `total` rows.

    Args:
        export_id: primary key of an `Export`.

    Returns:
        The state in which the export ended.
    """

    def report(current: int, total: int) -> None:
        self.update_state(state="PROGRESS", meta={"current": current, "total": total})

    try:
        return export.run(export_id, on_progress=report).state
    except SoftTimeLimitExceeded:
        # The service has removed the partial file.
        export.give_up(export_id, reason="soft time limit exceeded")
        raise
    except NETWORK.errors as error:
        if is_last_attempt(self):
            export.give_up(export_id, reason=str(error))
        raise
