"""Tasks of the notification domain."""

from celery.exceptions import SoftTimeLimitExceeded

from app.services import notification
from app.tasks.utils.error_handlers import is_last_attempt
from app.tasks.utils.rate_limiting import take
from app.tasks.utils.retry_policies import NETWORK
from config.env import env
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.tasks.notification_tasks.deliver_webhook",
    queue="io",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=NETWORK.errors,
    max_retries=NETWORK.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=30,
    time_limit=40,
)
def deliver_webhook(self: DurableTask[[int], str], delivery_id: int) -> str:
    """Deliver one webhook.

    Args:
        delivery_id: primary key of a `WebhookDelivery`.

    Returns:
        The state in which the delivery ended.
    """
    try:
        take(env.WEBHOOK_RATE_LIMIT, "webhook", notification.receiver(delivery_id))
        return notification.deliver(
            delivery_id, idempotency_key=self.idempotency_key
        ).state
    except SoftTimeLimitExceeded:
        notification.give_up(delivery_id, reason="soft time limit exceeded")
        raise
    except NETWORK.errors as error:
        if is_last_attempt(self):
            notification.give_up(delivery_id, reason=str(error))
        raise
