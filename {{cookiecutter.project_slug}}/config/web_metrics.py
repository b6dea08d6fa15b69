"""Metrics of web requests: hooks of gunicorn, for when `WEB_METRICS_PORT` is set.

Each of its processes counts into files in memory, and the main process serves their sum. It
imports the library only after the folder is known, which is when the library looks for it:
https://prometheus.github.io/client_python/multiprocess/
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from config.env import env, tell_libraries

_MEMORY = Path("/dev/shm")


def on_starting(server: Any) -> None:
    """Make the folder; earlier runs had their own."""
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    server.metrics_folder = folder = tempfile.mkdtemp("-metrics", dir=memory)
    tell_libraries(PROMETHEUS_MULTIPROC_DIR=folder)


def serve(port: int) -> None:
    """Serve the sum of all files."""
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    start_http_server(port, env.METRICS_BIND, registry)


def child_exit(server: Any, worker: Any) -> None:
    """Forget the gauges of a process that has ended; its counts stay."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """Remove the folder."""
    shutil.rmtree(server.metrics_folder, ignore_errors=True)
