"""The service's settings with a visibility timeout of seconds, for workers of chaos tests.

`config/env.py` refuses so short a time, and rightly: every task that ran for longer would
run twice. kombu looks for messages to deliver again every
`unacked_restore_interval * unacked_restore_throttle` seconds, 100 s by default:
https://docs.celeryq.dev/projects/kombu/en/stable/reference/kombu.transport.redis.html
"""

from config.settings import *
from config.settings import CELERY_BROKER_TRANSPORT_OPTIONS as SERVICE_OPTIONS

VISIBILITY_TIMEOUT_SECONDS = 5

CELERY_BROKER_TRANSPORT_OPTIONS = SERVICE_OPTIONS | {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
