"""First step: preferences to start with."""

from app.services import onboarding
from app.tasks.utils.retry_policies import DATABASE
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.workflows.user_onboarding.setup_defaults.setup_defaults",
    queue="fast",
    idempotent="natural key: a user has one row of preferences",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=DATABASE.errors,
    max_retries=DATABASE.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=20,
    time_limit=25,
)
def setup_defaults(self: DurableTask[[int], int], user_id: int) -> int:
    """Give a user default preferences.

    Args:
        user_id: primary key of a user.

    Returns:
        Primary key of the preferences.
    """
    return onboarding.set_up_defaults(user_id).pk
