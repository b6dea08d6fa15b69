"""The settings of `durable_settings` with a visibility timeout of seconds.

For RabbitMQ, the test tells the broker: `tests.harness.broker.taking_back_after`.

`config/env.py` refuses so short a time, and rightly: every plain task that ran for longer
would run twice. kombu looks for messages to deliver again every
`unacked_restore_interval * unacked_restore_throttle` seconds, 100 s by default:
https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.redis.html
"""

from tests.harness.durable_settings import *
from tests.harness.durable_settings import (
    CELERY_BROKER_TRANSPORT_OPTIONS as SERVICE_OPTIONS,
)

VISIBILITY_TIMEOUT_SECONDS = 3

CELERY_BROKER_TRANSPORT_OPTIONS = SERVICE_OPTIONS | {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}

# A worker would not start: plain tasks may hold their messages for longer, rightly refused.
SILENCED_SYSTEM_CHECKS = ["config.E005"]
