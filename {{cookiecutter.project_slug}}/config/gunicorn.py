"""The web server: `gunicorn --config python:config.gunicorn config.wsgi`.

https://docs.gunicorn.org/en/stable/settings.html
"""

from config.env import env

bind = f"{env.WEB_BIND}:{env.WEB_PORT}"
workers = env.WEB_WORKERS
worker_class = "gthread"
threads = 4
# Heartbeat files in memory, because a slow disk makes healthy workers look dead:
# https://docs.gunicorn.org/en/stable/faq.html#how-do-i-avoid-gunicorn-excessively-blocking-in-os-fchmod
worker_tmp_dir = "/dev/shm"
graceful_timeout = 30
# Nobody controls a container from inside.
control_socket_disable = True
reload = env.DEBUG
