"""What a caller commits is done, what it rolls back is not, however it ends."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from signal import SIGKILL
from threading import Barrier

import pytest
from django.db import connection, transaction

from ledger.models import TaskRun
from ledger.states import State
from tests.harness.broker import waiting
from tests.harness.effects.tasks import effect
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.processes import ROOT, environment
from tests.harness.runs import all_ended, effects
from tools.dev.broker import Broker

pytestmark = pytest.mark.chaos

# Callbacks run in the order in which they were registered: this one before the ledger's.
COMMITS_AND_DIES = """
import os, signal
import django
django.setup()
from django.db import transaction
from tests.harness.effects.tasks import effect

with transaction.atomic():
    transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
    effect.delay("job")
"""


class Undo(Exception):
    """Rolls a transaction back."""


def test_rollback_leaves_nothing(
    broker: Broker, durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    with pytest.raises(Undo), transaction.atomic():
        effect.delay("never")
        raise Undo

    assert not TaskRun.objects.exists()
    assert waiting(broker.url, "fast") == 0


def test_crash_between_commit_and_publish_is_made_up_for(
    durable_worker: StartWorker, wait_until: WaitUntil, broker: Broker
) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "tests.harness.durable_settings"}
    crashed = subprocess.run(
        [sys.executable, "-c", COMMITS_AND_DIES],
        cwd=ROOT,
        env={**os.environ, **environment(broker.url), **settings},
    )
    assert crashed.returncode == -SIGKILL
    assert TaskRun.objects.get().state == State.QUEUED
    assert waiting(broker.url, "fast") == 0

    durable_worker()

    wait_until(all_ended, timeout=20)
    assert effects("job") == 1


def test_fifty_callers_with_one_unique_key_share_one_run(
    durable_worker: StartWorker, wait_until: WaitUntil
) -> None:
    callers = 50
    together = Barrier(callers)

    def call(number: int) -> str:
        together.wait()
        try:
            result = effect.apply_async((f"job {number}",), unique_key="same")
            return str(result.id)
        finally:
            connection.close()

    with ThreadPoolExecutor(callers) as pool:
        ids = set(pool.map(call, range(callers)))

    assert len(ids) == TaskRun.objects.count() == 1
    durable_worker()
    wait_until(all_ended)
    assert TaskRun.objects.get().state == State.SUCCEEDED
