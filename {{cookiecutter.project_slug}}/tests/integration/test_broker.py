"""What the doorbell makes of a broker that is away, full, changed or misconfigured."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from billiard import Process as Fork
from django.test import Client

from config.redaction import REDACTED
from ledger import relay, sql
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.broker import flush, publishing_to, waiting
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import add, effect, plain_effect
from tests.harness.fixtures import StartWorker, WaitUntil
from tests.harness.own_broker import OwnBroker, own_broker
from tests.harness.own_rabbit import MAX_MESSAGE_BYTES, PASSWORD
from tests.harness.runs import run_of
from tests.settings import ON_RABBITMQ
from tools.dev.broker import Broker

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

only_rabbitmq = pytest.mark.skipif(
    not ON_RABBITMQ, reason="RabbitMQ alone has this: TEST_BROKER=rabbitmq"
)


@pytest.fixture
def own(broker: Broker) -> Iterator[OwnBroker]:
    """A broker that this test may stop; this process publishes to it."""
    with own_broker() as server, publishing_to(server.url):
        yield server


def test_full_broker_leaves_runs_pending_until_it_takes_messages_again(
    own: OwnBroker,
) -> None:
    add.delay(0, 0)
    own.fill()

    result = add.delay(1, 2)

    assert run_of(result).state == State.PENDING
    own.relieve()
    assert relay.step()
    assert run_of(result).state == State.QUEUED
    # RabbitMQ may go on to take the first attempt, too: it finds nothing to claim.
    assert waiting(own.url, "fast") >= 2


def test_broker_that_refuses_the_password_is_down_and_leaves_runs_pending(
    broker: Broker, client: Client
) -> None:
    scheme, _, address = broker.url.partition("://")
    host = address.rpartition("@")[2]

    with publishing_to(f"{scheme}://tests:wrong@{host}"):
        result = add.delay(1, 2)
        ready = client.get("/readyz")

    assert run_of(result).state == State.PENDING
    assert (ready.status_code, ready.json()["broker"]) == (200, "down")


def test_broker_that_was_restarted_meanwhile_takes_the_next_message(
    own: OwnBroker,
) -> None:
    add.delay(0, 0)
    own.stop()
    own.start()

    result = add.delay(1, 2)

    assert run_of(result).state == State.QUEUED


def test_fork_does_not_take_the_connection_away_from_its_parent(broker: Broker) -> None:
    add.delay(0, 0)
    child = Fork(target=int)
    child.start()
    child.join()

    result = add.delay(1, 2)

    assert run_of(result).state == State.QUEUED
    assert waiting(broker.url, "fast") == 2


def test_queue_that_was_deleted_is_made_again_for_what_was_in_it(
    broker: Broker,
) -> None:
    add.delay(1, 2)
    flush(broker.url)
    sql.execute(f"UPDATE ledger_taskrun SET rung_at = {sql.later('-60')}")

    assert relay.step()

    assert waiting(broker.url, "fast") == 1


@only_rabbitmq
def test_message_that_is_too_large_fails_its_run_and_holds_up_nobody(
    broker: Broker,
) -> None:
    too_large = effect.delay("x" * MAX_MESSAGE_BYTES)
    next_one = add.delay(1, 2)

    assert run_of(too_large).state == State.FAILED
    assert "size" in run_of(too_large).reason
    assert run_of(next_one).state == State.QUEUED


def test_first_worker_of_a_new_broker_has_nothing_to_complain_of(
    worker: StartWorker,
) -> None:
    started = worker("fast")

    complaints = [
        record["event"]
        for record in started.records()
        if record["level"] in ("error", "critical")
    ]

    assert complaints == []


def test_countdown_of_a_task_without_a_row_is_kept(
    broker: Broker, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("fast", DJANGO_SETTINGS_MODULE="tests.harness.durable_settings")

    plain_effect.apply_async(("plain",), countdown=2)
    plain_effect.apply_async(("at once",))

    wait_until(lambda: Effect.objects.count() == 2)
    assert [effect.key for effect in Effect.objects.order_by("pk")] == [
        "at once",
        "plain",
    ]


def test_run_that_was_sent_by_name_and_with_a_countdown_knows_its_queue(
    broker: Broker, worker: StartWorker, wait_until: WaitUntil
) -> None:
    worker("fast", DJANGO_SETTINGS_MODULE="tests.harness.durable_settings")

    add.app.send_task(add.name, (1, 2), queue="fast", countdown=1)

    wait_until(lambda: TaskRun.objects.filter(state=State.SUCCEEDED).exists())
    assert TaskRun.objects.get().queue == "fast"


@only_rabbitmq
def test_password_is_in_no_log_and_no_command_line(
    worker: StartWorker, wait_until: WaitUntil
) -> None:
    started = worker("fast", DJANGO_SETTINGS_MODULE="tests.harness.durable_settings")
    result = add.delay(1, 2)
    wait_until(result.ready)

    arguments = Path(f"/proc/{started.pid}/cmdline").read_text()

    assert f"amqp://tests:{REDACTED}@" in "".join(started.output())
    assert PASSWORD not in "".join([arguments, *started.output()])
