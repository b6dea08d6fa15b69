"""`manage.py metrics`: serve the ledger's metrics to Prometheus, or print them once."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from config.env import env
from ledger.metrics import LedgerCollector


class Command(BaseCommand):
    """Listen on METRICS_BIND and METRICS_PORT until SIGTERM or SIGINT."""

    help = "Serve the metrics of queues, tasks, workers and the ledger to Prometheus."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="print them and end")

    def handle(self, *args: Any, **options: Any) -> None:
        registry = CollectorRegistry()
        registry.register(LedgerCollector())
        if options["once"]:
            self.stdout.write(generate_latest(registry).decode())
            return
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *received: stop.set())
        try:
            server, thread = start_http_server(
                env.METRICS_PORT, env.METRICS_BIND, registry
            )
        except OSError as error:
            raise CommandError(
                f"METRICS_PORT: cannot listen on {env.METRICS_BIND}, port "
                f"{env.METRICS_PORT}: {error.strerror}"
            ) from None
        self.stdout.write(f"metrics on {env.METRICS_BIND}, port {env.METRICS_PORT}")
        stop.wait()
        server.shutdown()
        thread.join()
