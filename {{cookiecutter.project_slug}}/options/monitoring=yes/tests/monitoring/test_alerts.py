"""Alerts: each is fired once, names a metric that exists, and a page that helps."""

import re

import pytest

from config.env import BASE_DIR
from config.queues import MOST_PROCESSES, QUEUES
from tests.monitoring.promtool import FOLDER, promtool
from tests.monitoring.queries import exported, metrics_in

RULES = (FOLDER / "alerts.yml").read_text()

# One per alert: its name, and what follows up to the next one.
ALERTS = re.findall(r"- alert: (\w+)\n(.*?)(?=\n\s*- alert:|\Z)", RULES, re.S)
NAMES = [name for name, _ in ALERTS]


def query_of(rule: str) -> str:
    """Return the expression of a rule, which may go on over deeper lines."""
    found = re.search(r"expr: (?:>-\n)?(.*?)\n {8}(?=\w)", rule, re.S)
    assert found
    return found[1]


def test_every_alert_fires_in_its_test_and_is_silent_while_all_is_well() -> None:
    promtool("test", "rules", "alerts_test.yml")

    tests = (FOLDER / "alerts_test.yml").read_text()
    fired = re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", tests)
    silent = re.findall(r"alertname: (\w+)\n\s+exp_alerts: \[\]\n", tests)
    assert sorted(fired) == sorted(set(silent)) == sorted(NAMES)


def test_configuration_is_one_that_prometheus_takes() -> None:
    promtool("check", "config", "prometheus.yml")


@pytest.mark.django_db
def test_every_alert_asks_for_metrics_that_exist() -> None:
    for name, rule in ALERTS:
        named = metrics_in(query_of(rule))
        assert named and named <= exported(), name


def test_every_alert_names_a_runbook_that_exists() -> None:
    for name, rule in ALERTS:
        found = re.search(r"runbook_url: (\S+)", rule)
        assert found and (BASE_DIR / found[1]).is_file(), name


def test_queues_that_alerts_name_exist() -> None:
    named = set(re.findall(r'queue!?="(\w+)"', RULES))

    assert named <= {queue.name for queue in QUEUES}


def test_memory_alert_fires_before_a_container_reaches_its_limit() -> None:
    compose = (BASE_DIR / "docker-compose.yml").read_text()
    [bytes_each] = re.findall(r"worker_memory_bytes .* > (\S+)", RULES)
    units = {"m": 2**20, "g": 2**30}

    for queue in QUEUES:
        found = re.search(
            rf"worker-{queue.name}:\n(?:    .*\n)*?    mem_limit: (\d+)(\w)", compose
        )
        assert found, queue.name
        limit = int(found[1]) * units[found[2]]
        processes = queue.concurrency or MOST_PROCESSES
        assert float(bytes_each) * (processes + 1) < limit, queue.name


def test_ports_are_those_that_compose_opens() -> None:
    compose = (BASE_DIR / "docker-compose.yml").read_text()
    scraped = (FOLDER / "prometheus.yml").read_text()

    opened = re.findall(r'METRICS_PORT: "(\d+)"', compose)
    asked = re.findall(r'(?:metrics:|port: )(\d+)(?=["\n])', scraped)
    assert len(opened) == 2
    assert sorted(asked) == sorted(opened)
