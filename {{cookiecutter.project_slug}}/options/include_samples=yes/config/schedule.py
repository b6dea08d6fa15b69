"""When periodic work runs: one entry per task of `app/tasks/periodic`, and the ledger's own.

Beat writes these into the database at its start, where the admin can pause them, and
removes those that are gone from here: `docs/schedules.md`. `expires` is in seconds from
when a tick was due: one that waited longer is overtaken by the next one, and cancelled.
"""

from typing import Any

from celery.schedules import crontab

SCHEDULE: dict[str, dict[str, Any]] = {
    "hourly: prune the ledger": {
        "task": "ledger.tasks.prune",
        "schedule": crontab(minute="20"),
        "options": {"expires": 3_600},
    },
    "daily: prune webhook deliveries": {
        "task": "app.tasks.periodic.daily_tasks.prune_webhook_deliveries",
        "schedule": crontab(hour="3", minute="10"),
        "options": {"expires": 43_200},
    },
    "daily: remove what is past its retention": {
        "task": "app.tasks.periodic.daily_tasks.remove_expired",
        "schedule": crontab(hour="3", minute="30"),
        "options": {"expires": 43_200},
    },
    "weekly: mail the digest of flaky tests": {
        "task": "app.tasks.periodic.weekly_tasks.mail_digest",
        "schedule": crontab(day_of_week="mon", hour="6", minute="0"),
        "options": {"expires": 259_200},
    },
    "monthly: archive the totals of last month": {
        "task": "app.tasks.periodic.monthly_tasks.archive_last_month",
        "schedule": crontab(day_of_month="1", hour="2", minute="0"),
        "options": {"expires": 604_800},
    },
}
