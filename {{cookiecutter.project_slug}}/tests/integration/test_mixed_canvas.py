"""Durable and plain tasks in one canvas, with results in the ledger and in Redis."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import chain, chord, group

from ledger.backend import LedgerBackend
from ledger.models import ChordRun, TaskRun
from tests.harness.broker import publishing_to
from tests.harness.effects.tasks import (
    add,
    effect,
    errback,
    fail,
    plain_add,
    plain_echo,
    plain_fail,
    plain_total,
    replaced_by,
    retried,
    total,
)
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.inline import effects
from tools.dev.broker import Broker

pytestmark = pytest.mark.integration

LEDGER = f"{LedgerBackend.__module__}:{LedgerBackend.__name__}"


@pytest.fixture(params=["ledger", "redis"], autouse=True)
def _worker(
    request: pytest.FixtureRequest,
    broker: Broker,
    broker_server: Broker,
    worker: StartWorker,
) -> Iterator[None]:
    results = LEDGER if request.param == "ledger" else f"{broker_server.url}/1"
    with publishing_to(broker.url, results=results):
        worker(
            "fast",
            DJANGO_SETTINGS_MODULE="tests.harness.durable_settings",
            CELERY_RESULT_BACKEND=results,
            WORKER_CONCURRENCY="fast=2",
        )
        yield


def test_results(wait_until: WaitUntil) -> None:
    expected: list[tuple[Any, Any]] = [
        (chain(add.s(1, 2), plain_add.s(10), add.s(100), plain_add.s(1000)), 1113),
        (chain(plain_add.s(1, 2), add.s(10), retried.si(1)), 1),
        (group(add.s(1, 1), plain_add.s(2, 2), retried.s(1)), [2, 4, 1]),
        (chord([add.s(1, 1), plain_add.s(2, 2), retried.s(1)], total.s()), 7),
        (chord([plain_add.s(1, 1), plain_add.s(2, 2)], total.s()), 6),
        (chord([add.s(1, 1), add.s(2, 2)], plain_total.s()), 6),
        (chord([plain_add.s(1, 1) | add.s(1), add.s(1, 1)], total.s() | add.s(9)), 14),
        (
            chord([add.s(1, 1) | plain_add.s(1), plain_add.s(1, 1)], plain_echo.s()),
            [3, 2],
        ),
        (chord([chord([add.s(1, 1)], plain_total.s()), add.s(2, 2)], total.s()), 6),
        (plain_add.s(1, 1) | group(add.s(1), plain_add.s(2)) | total.s(), 7),
        (add.s(1, 1) | group(add.s(1), plain_add.s(2)), [3, 4]),
        (chain(replaced_by.s(plain_add.s(1, 1) | add.s(1)), plain_add.s(10)), 13),
        (
            chain(plain_add.s(1, 1), replaced_by.si(group(add.s(1, 1), add.s(2, 2)))),
            [2, 4],
        ),
    ]
    started = [(canvas.apply_async(), value) for canvas, value in expected]

    for result, value in started:
        assert result.get(timeout=60) == value

    wait_until(lambda: not TaskRun.objects.active().exists())
    assert not ChordRun.objects.exists()


def test_errors(wait_until: WaitUntil) -> None:
    failing: list[Any] = [
        chain(add.s(1, 1), plain_fail.si(), add.s(1)),
        chain(plain_add.s(1, 1), fail.si(), plain_add.s(1)),
        chord([add.s(1, 1), plain_fail.s()], total.s()),
        chord([plain_add.s(1, 1), fail.s()], plain_total.s()),
        chord([chain(plain_fail.si(), add.s(1)), add.s(1, 1)], total.s()),
        chord([chain(fail.si(), plain_add.s(1)), plain_add.s(1, 1)], total.s()),
    ]
    results = [canvas.apply_async() for canvas in failing]

    for result in results:
        with pytest.raises(Exception, match="bad"):
            result.get(timeout=60)

    wait_until(lambda: all(result.failed() for result in results))
    wait_until(lambda: not TaskRun.objects.active().exists())


def test_links_and_errbacks(wait_until: WaitUntil) -> None:
    plain_add.apply_async((1, 1), link=effect.si("plain to durable"))
    add.apply_async((1, 1), link=[plain_echo.s(), effect.si("durable to durable")])
    add.apply_async((1, 1), link=plain_add.s(1) | effect.si("through plain"))
    plain = plain_fail.apply_async(link_error=errback.s())
    durable = fail.apply_async(link_error=errback.s())

    expected = [f"errback {plain.id}", f"errback {durable.id}"]
    expected += ["plain to durable", "durable to durable", "through plain"]
    wait_until(lambda: effects() == sorted(expected))
    wait_until(lambda: not TaskRun.objects.active().exists())
