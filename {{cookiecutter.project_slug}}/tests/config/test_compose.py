"""What the compose files must have in common with the web server's settings."""

import re
from pathlib import Path

from config import gunicorn

ROOT = Path(__file__).resolve().parents[2]


def test_web_has_time_to_be_forgotten_and_to_finish() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    production = (ROOT / "docker-compose.prod.yml").read_text()
    grace = re.search(r"\n  web:\n(?:    .*\n)*?    stop_grace_period: (\d+)s", compose)
    drain = re.search(r"WEB_DRAIN_SECONDS: \"(\d+)\"", production)

    assert grace and drain
    assert int(grace[1]) >= int(drain[1]) + gunicorn.graceful_timeout + 5


def test_variable_that_is_missing_is_asked_for_where_it_is_read() -> None:
    # `make install` writes .env if there is none, and fills nothing later.
    compose = (ROOT / "docker-compose.yml").read_text()
    asked = re.findall(r"\$\{\w+:\?([^}]+)\}", compose)

    assert asked
    for text in asked:
        assert " in .env" in text and "make install" not in text, text


def test_memory_of_redis_is_said_once() -> None:
    files = ROOT.glob("docker-compose*.yml")

    assert sum(file.read_text().count("--maxmemory ") for file in files) == 1
