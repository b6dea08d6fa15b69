"""`manage.py relay`: the relay alone, for a deployment that wants it apart from workers."""

import logging
import signal
import socket
import threading
from typing import Any

from django.core.management.base import BaseCommand

from ledger import health, relay

log = logging.getLogger(__name__)


class Command(BaseCommand):
    """Run the relay until SIGTERM or SIGINT."""

    help = (
        "Ring for runs that are due or lost, and end those that never come to an end."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()

        def ask_to_stop(*received: object) -> None:
            stop.set()
            relay.look_now()

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        log.info("relay works")
        health.start(f"relay@{socket.gethostname()}")
        relay.run(stop, health.turned)
