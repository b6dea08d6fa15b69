"""Second step: the welcome mail."""

from app.services import onboarding
from app.tasks.utils.error_handlers import is_last_attempt
from app.tasks.utils.retry_policies import NETWORK
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.workflows.user_onboarding.send_welcome.send_welcome",
    queue="io",
    idempotent="natural key: a user has one welcome mailing",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=NETWORK.errors,
    max_retries=NETWORK.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=60,
    time_limit=70,
)
def send_welcome(
    self: DurableTask[[int], dict[str, int]], user_id: int
) -> dict[str, int]:
    """Mail a user the welcome, once for ever.

    Args:
        user_id: primary key of a user whose defaults are set up.

    Returns:
        How many deliveries ended in which state.
    """
    try:
        return onboarding.welcome(user_id)
    except NETWORK.errors as error:
        if is_last_attempt(self):
            onboarding.give_up_welcome(user_id, reason=str(error))
        raise
