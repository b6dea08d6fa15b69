"""The web server: `gunicorn --config python:config.gunicorn config.wsgi`.

https://docs.gunicorn.org/en/stable/settings.html
"""

import logging.config
from pathlib import Path
from typing import Any

from gunicorn.glogging import Logger

from config import drain, web_metrics
from config.env import env
from config.logs import logging_config


class ServiceLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Logs as everything else does, from the first line on: JSON in containers."""

    def setup(self, cfg: Any) -> None:
        """Let the service's handler have what gunicorn says of itself."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        logging.config.dictConfig(
            logging_config(
                level=env.LOG_LEVEL, output=env.LOG_FORMAT, secrets=env.secrets()
            )
        )


_host = f"[{env.WEB_BIND}]" if ":" in env.WEB_BIND else env.WEB_BIND
_memory = Path("/dev/shm")

bind = f"{_host}:{env.WEB_PORT}"
workers = env.WEB_WORKERS
logger_class = ServiceLogger
worker_class = "gthread"
threads = 4
# Heartbeat files in memory, because a slow disk makes healthy workers look dead:
# https://docs.gunicorn.org/en/stable/faq.html#how-do-i-avoid-gunicorn-excessively-blocking-in-os-fchmod
worker_tmp_dir = str(_memory) if _memory.is_dir() else None
graceful_timeout = 30
# Nobody controls the server but who started it.
control_socket_disable = True
reload = env.DEBUG

if env.WEB_METRICS_PORT:
    # gunicorn finds its hooks by their names.
    from config.web_metrics import child_exit, on_exit, on_starting


def when_ready(server: Any) -> None:
    """Let the load balancer know before the server stops, and Prometheus of its requests."""
    if env.WEB_DRAIN_SECONDS:
        drain.before_stopping(env.WEB_DRAIN_SECONDS)
    if env.WEB_METRICS_PORT:
        web_metrics.serve(env.WEB_METRICS_PORT)
