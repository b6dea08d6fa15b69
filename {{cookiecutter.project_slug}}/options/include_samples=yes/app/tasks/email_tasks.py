"""Tasks of the email domain."""

from celery.exceptions import SoftTimeLimitExceeded

from app.services import email
from app.tasks.utils.error_handlers import is_last_attempt
from app.tasks.utils.retry_policies import NETWORK
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.tasks.email_tasks.send_bulk",
    queue="io",
    unique_key="mailing:{mailing_id}",
    idempotent="natural key: a delivery is claimed once, by its row",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=NETWORK.errors,
    max_retries=NETWORK.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=240,
    time_limit=300,
)
def send_bulk(
    self: DurableTask[[int], dict[str, int]], mailing_id: int
) -> dict[str, int]:
    """Send a mailing to everybody who has not got it yet.

    Progress is in the task's state: `PROGRESS` with `current` and `total` deliveries.

    Args:
        mailing_id: primary key of a `Mailing`.

    Returns:
        How many deliveries ended in which state.
    """

    def report(current: int, total: int) -> None:
        self.update_state(state="PROGRESS", meta={"current": current, "total": total})

    try:
        return email.send(mailing_id, on_progress=report)
    except SoftTimeLimitExceeded:
        # A long mailing is no failure: the next run sends the rest, with all its retries.
        return self.replace(send_bulk.si(mailing_id))
    except NETWORK.errors as error:
        if is_last_attempt(self):
            email.give_up(mailing_id, reason=str(error))
        raise
