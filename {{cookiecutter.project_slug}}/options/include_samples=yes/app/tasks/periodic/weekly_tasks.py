"""Tasks that run once a week."""

from django.utils import timezone

from app.services import digest
from app.tasks.email_tasks import send_bulk
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.due import due_at
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.tasks.periodic.weekly_tasks.mail_digest",
    queue="maintenance",
    idempotent="natural key: a week has one mailing",
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
def mail_digest(self: DurableTask[[], int | None]) -> int | None:
    """Mail the flaky tests of the week before the tick; a second run mails nobody again.

    Returns:
        Primary key of the mailing; None if nobody is to get it.
    """
    mailing = digest.create(timezone.localdate(due_at(self.request)))
    if mailing is None:
        return None
    send_bulk.delay(mailing.pk)
    return mailing.pk
