"""The Celery application: `celery -A config …` starts here."""

import os
import pkgutil
from importlib import import_module

from celery.signals import setup_logging

from ledger.app import LedgerCelery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

TASK_PACKAGES = ("app.tasks", "app.workflows")
LEDGER_TASKS = "ledger.tasks"

app = LedgerCelery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")


def task_modules() -> list[str]:
    """Return every module of `app.tasks` and `app.workflows`, so that none is forgotten."""
    return [
        LEDGER_TASKS,
        *(
            module.name
            for package in TASK_PACKAGES
            for module in pkgutil.walk_packages(
                import_module(package).__path__, prefix=f"{package}."
            )
        ),
    ]


# A callable, because the packages can be imported only once Django is set up.
app.autodiscover_tasks(task_modules, related_name="")


@setup_logging.connect
def keep_django_logging(**kwargs: object) -> None:
    """Leave logging as `LOGGING` set it; without a receiver Celery installs its own."""
