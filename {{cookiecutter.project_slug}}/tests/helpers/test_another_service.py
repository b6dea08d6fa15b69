"""How a task that calls another service is tested: the example of `docs/testing.md`.

The setting, the service and the task stand in for those of a project.
"""

from types import SimpleNamespace

import requests
from pytest import MonkeyPatch

from app.services.errors import TransientError
from app.tasks.utils.retry_policies import NETWORK
from ledger.decorator import shared_task
from ledger.states import State
from ledger.task import DurableTask
from tests.harness.receivers import Receiver
from tests.helpers.tester import TaskTester

env = SimpleNamespace(BANK_URL="")


def charge(invoice_id: int, *, idempotency_key: str) -> str:
    """Have the bank charge an invoice."""
    response = requests.post(
        env.BANK_URL,
        json={"invoice": invoice_id},
        headers={"Idempotency-Key": idempotency_key},
        timeout=5,
    )
    if response.status_code >= 500:
        raise TransientError(f"HTTP {response.status_code}")
    return "charged"


@shared_task(
    bind=True,
    queue="io",
    autoretry_for=NETWORK.errors,
    max_retries=NETWORK.max_retries,
    retry_backoff=True,
)
def charge_invoice(self: DurableTask[[int], str], invoice_id: int) -> str:
    """Charge an invoice."""
    return charge(invoice_id, idempotency_key=self.idempotency_key)


def keys(receiver: Receiver) -> list[str]:
    return [request.headers["idempotency-key"] for request in receiver.requests]


def test_idempotency_the_bank_sees_one_key_per_run(
    tasks: TaskTester, receiver: Receiver, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "BANK_URL", receiver.url)

    tasks.twice(charge_invoice, 1, effects=lambda: set(keys(receiver)))
    tasks.run(charge_invoice, 2)

    first, repeated, other = keys(receiver)
    assert first == repeated != other


def test_retry_charges_when_the_bank_is_well_again(
    tasks: TaskTester, receiver: Receiver, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "BANK_URL", receiver.url)
    receiver.answers.append(503)

    run = tasks.run(charge_invoice, 1)

    assert (run.result, run.retry_delays) == ("charged", [1])
    assert receiver.requests[-1].body == {"invoice": 1}


def test_failure_of_the_bank_is_final_after_the_last_attempt(
    tasks: TaskTester, receiver: Receiver, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "BANK_URL", receiver.url)
    receiver.answers.extend([503] * (NETWORK.max_retries + 1))

    run = tasks.run(charge_invoice, 1)

    assert (run.state, len(set(keys(receiver)))) == (State.FAILED, 1)
