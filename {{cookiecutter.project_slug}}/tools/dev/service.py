"""What `make run` starts, in which order, and how it knows that everything works.

While a broker of our own runs, its address stands in `var/embedded.env`, so that
`manage.py` finds it in other terminals.
"""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic
from typing import NoReturn
from urllib.parse import urlsplit

from celery import Celery
from celery.utils.nodenames import gethostname

from config.broker import broker_url, use_ssl
from config.env import EMBEDDED_ENV_FILE, NO_BROKER_URL, Env, load
from config.queues import QUEUES
from tools.dev.broker import Broker, broker, require_rabbitmq
from tools.dev.process import Process
from tools.dev.supervisor import CannotRun, Supervisor

ROOT = Path(__file__).resolve().parent.parent.parent

# Printed once everything works; scripts wait for it.
READY = "Ready. Ctrl-C stops everything."

READY_SECONDS = 120
POLL_SECONDS = 0.25


def run() -> NoReturn:
    """Start everything and stay until something ends.

    Raises:
        CannotRun: with the reason; everything has been stopped.
        BrokerUnavailable: if no broker answers.
        KeyboardInterrupt: when told to stop; everything has been stopped.
    """
    EMBEDDED_ENV_FILE.unlink(missing_ok=True)  # left by a run that was killed
    env = load()
    _require_free_port(env.WEB_BIND, env.WEB_PORT)
    if env.BROKER_URL:
        require_rabbitmq(env.BROKER_URL, use_ssl(env))
    # The cache and the rate limits need a Redis all the same.
    url = "" if env.REDIS_URL == NO_BROKER_URL else env.REDIS_URL
    password = env.REDIS_PASSWORD.get_secret_value() if env.REDIS_PASSWORD else ""
    with broker(url, password) as found, _told_to_others(found, EMBEDDED_ENV_FILE):
        if found.warning:
            print(f"Warning: {found.warning}", flush=True)
        _serve(load(REDIS_URL=found.url), found)


def _require_free_port(address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise CannotRun(
                f"cannot listen on {address}, port {port}: {error.strerror}. "
                "Stop the program that does, or set WEB_PORT in .env."
            ) from None


@contextmanager
def _told_to_others(found: Broker, file: Path) -> Iterator[None]:
    """Keep the address of our own broker in a file while it runs."""
    if found.process is None:
        yield
        return
    draft = file.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as text:
        text.write(f"REDIS_URL={found.url}\n")
    try:
        draft.rename(file)  # in one step: nobody reads half of it
        yield
    finally:
        file.unlink(missing_ok=True)


def _serve(env: Env, found: Broker) -> NoReturn:
    supervisor = Supervisor(
        ["web", "beat", *(queue.name for queue in QUEUES)],
        cwd=ROOT,
        env=os.environ | {"REDIS_URL": found.url, "PYTHONUNBUFFERED": "1"},
    )
    try:
        _prepare(supervisor, env)
        if found.process is not None:
            supervisor.watch(found.process)
        for name, command in commands(env).items():
            supervisor.start(name, command)
        _wait_until_ready(supervisor, env)
        print(_banner(env, found), flush=True)
        _fail(supervisor.ended())
    finally:
        print("Stopping …", flush=True)
        supervisor.stop()


def _prepare(supervisor: Supervisor, env: Env) -> None:
    steps = [["migrate", "--no-input"]]
    if not env.DEBUG:
        # Without DEBUG, whitenoise serves only what was collected.
        steps.append(["collectstatic", "--no-input"])
    for step in steps:
        if supervisor.run(step[0], [sys.executable, "manage.py", *step]).wait():
            raise CannotRun(f"`manage.py {' '.join(step)}` failed, see above")


def commands(env: Env) -> dict[str, list[str]]:
    """Return the processes of the service: command by name."""
    web = [
        *(sys.executable, "-m", "gunicorn"),
        *("--config", "python:config.gunicorn", "config.wsgi"),
    ]
    workers = {
        queue.name: [sys.executable, "manage.py", "worker", queue.name]
        for queue in QUEUES
    }
    beat = [
        *(sys.executable, "-m", "celery", "--app", "config", "--quiet", "beat"),
        *("--loglevel", env.LOG_LEVEL),
    ]
    return {"web": web, **workers, "beat": beat}


def _wait_until_ready(supervisor: Supervisor, env: Env) -> None:
    """Wait until web answers and every worker consumes from its queue."""
    deadline = monotonic() + READY_SECONDS
    nodes = {f"{queue.name}@{gethostname()}" for queue in QUEUES}
    with Celery(broker=broker_url(env), set_as_current=False) as celery:
        celery.conf.broker_use_ssl = use_ssl(env)
        while not (_web_answers(env) and nodes <= _consuming(celery, len(nodes))):
            if monotonic() > deadline:
                raise CannotRun(f"not ready after {READY_SECONDS} s, see above")
            if ended := supervisor.ended(timeout=POLL_SECONDS):
                _fail(ended)


def _web_answers(env: Env) -> bool:
    connection = HTTPConnection(_reachable(env.WEB_BIND), env.WEB_PORT, timeout=5)
    # The address may not be among ALLOWED_HOSTS; whatever stands there is.
    host = env.ALLOWED_HOSTS[0].lstrip(".").replace("*", "localhost")
    try:
        connection.request("GET", "/readyz", headers={"Host": host})
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _reachable(bind: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)


def _consuming(celery: Celery, count: int) -> set[str]:
    replies = celery.control.ping(timeout=1, limit=count) or []
    return {node for reply in replies for node in reply}


def _banner(env: Env, found: Broker) -> str:
    database = urlsplit(env.DATABASE_URL)
    where = database._replace(netloc=database.netloc.rpartition("@")[2]).geturl()
    address = f"http://{_reachable(env.WEB_BIND)}:{env.WEB_PORT}/"
    kind = "from REDIS_URL" if found.process is None else f"{found.kind}, private"
    if env.BROKER_URL:
        kind = f"RabbitMQ from BROKER_URL; cache: {kind}"
    return "\n".join(
        [
            "",
            f"{env.SERVICE_NAME} runs.",
            f"  API       {address}api/",
            f"  admin     {address}admin/",
            f"  workers   {', '.join(queue.name for queue in QUEUES)}",
            f"  broker    {kind}",
            f"  database  {where}",
            READY,
            "",
        ]
    )


def _fail(ended: Process | None) -> NoReturn:
    assert ended is not None  # without a timeout, ended() waits for a process
    raise CannotRun(
        f"{ended.name} ended unexpectedly with status {ended.returncode}; "
        "everything else was stopped"
    )
