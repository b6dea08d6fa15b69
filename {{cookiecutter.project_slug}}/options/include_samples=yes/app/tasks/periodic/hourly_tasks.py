"""Tasks that run every hour."""

from celery import Task, shared_task, signature

from app.services import imports
from app.tasks.utils.retry_policies import DATABASE

# By name, because tasks know nothing of the workflows above them.
IMPORT_REPORT = "app.workflows.data_pipeline.orchestrator.import_report"

# Above the hard time limit of any step of an import, so that a slow one is not stalled.
STALLED_AFTER_SECONDS = 3600


@shared_task(
    bind=True,
    name="app.tasks.periodic.hourly_tasks.restart_stalled_imports",
    queue="maintenance",
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
def restart_stalled_imports(self: Task[[], int]) -> int:
    """Start imports again whose message was lost; finished steps are not repeated.

    Returns:
        How many imports were started.
    """
    stalled = imports.stalled(STALLED_AFTER_SECONDS)
    for report_id in stalled:
        signature(IMPORT_REPORT, args=(report_id,)).apply_async()
    return len(stalled)
