"""The Celery application: `celery -A config …` starts here."""

import os
import pkgutil
from contextlib import suppress
from importlib import import_module

from celery.signals import import_modules, setup_logging, worker_init
from kombu.exceptions import OperationalError

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


@import_modules.connect(sender=app)
def import_tasks(**kwargs: object) -> None:
    """Import what holds tasks, once Django is set up.

    Not `autodiscover_tasks()`: it goes on without a module that imports a package which is
    not installed, and its tasks would be unknown.
    https://github.com/celery/celery/blob/v5.6.0/celery/loaders/base.py (`find_related_module`)
    """
    for name in task_modules():
        import_module(name)


@worker_init.connect
def declare_queues(**kwargs: object) -> None:
    """Declare the whole topology; a worker by itself declares what it consumes from.

    On RabbitMQ it goes on to bind every queue to the exchanges of countdowns, and fails for
    those that are missing. A broker that is down is for the worker itself to wait for.
    https://github.com/celery/celery/blob/v5.6.0/celery/worker/consumer/delayed_delivery.py
    """
    with app.connection_for_write() as connection:
        down = (*connection.connection_errors, *connection.channel_errors)
        with suppress(OperationalError, *down):
            connection.ensure_connection(max_retries=0)
            for queue in app.amqp.queues.values():
                queue.bind(connection.default_channel).declare()


@setup_logging.connect
def keep_django_logging(**kwargs: object) -> None:
    """Leave logging as `LOGGING` set it; without a receiver Celery installs its own."""
