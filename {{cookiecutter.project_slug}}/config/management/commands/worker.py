"""`manage.py worker io`: start the worker of a queue, as the topology describes it."""

from typing import Any

from celery.bin.celery import celery
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config import queues
from config.env import env


class Command(BaseCommand):
    """Become the Celery worker of one or several queues, in this very process."""

    help = "Start the worker that serves the given queue (or queues)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queues", nargs="+", metavar="QUEUE")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            served = sorted(
                {queues.by_name(name) for name in options["queues"]},
                key=lambda queue: queue.priority,
            )
        except ValueError as error:
            raise CommandError(str(error)) from None
        # `app.worker_main()` would drop the exit status: a worker that fails would end with 0.
        celery.main(["--app", "config", *worker_arguments(served)], prog_name="celery")


def worker_arguments(served: list[queues.Queue]) -> list[str]:
    """Return the arguments of `celery` that start a worker for these queues.

    Args:
        served: in the order in which the worker empties them. Several queues share the
            pool of the first, with the largest concurrency among them.

    Returns:
        Arguments for one process; `%h` in the name becomes the host's name.
    """
    names = ",".join(queue.name for queue in served)
    concurrency = max(
        env.WORKER_CONCURRENCY.get(queue.name, queue.processes()) for queue in served
    )
    return [
        *("--quiet", "worker"),  # no banner between the lines of the log
        *("--queues", names),
        *("--hostname", f"{names.replace(',', '-')}@%h"),
        *("--pool", served[0].pool),
        *("--concurrency", str(concurrency)),
        *("--loglevel", env.LOG_LEVEL),
        "--without-gossip",
        "--without-mingle",
    ]
