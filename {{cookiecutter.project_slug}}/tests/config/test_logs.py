"""Structured logs and the request id."""

import io
import json
import logging.config
import time
from collections.abc import Callable, Iterator

import pytest
import structlog
from billiard.util import get_logger
from celery.worker.consumer import consumer
from django.conf import settings
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils.log import log_response

from config import drain
from config.logs import for_people, logging_config
from config.redaction import REDACTED, hide_arguments

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """Log JSON to memory; returns a function that reads it."""
    stream = io.StringIO()
    configuration = logging_config(level="INFO", output="json", secrets=[SECRET])
    configuration["handlers"]["stdout"]["stream"] = stream
    logging.config.dictConfig(configuration)
    yield stream.getvalue
    hide_arguments()
    logging.config.dictConfig(settings.LOGGING)


def test_log_line_is_json_with_time_level_and_logger(logged: Callable[[], str]) -> None:
    structlog.stdlib.get_logger("app.example").info("it happened", rows=3)

    entry = json.loads(logged())
    assert entry["event"] == "it happened"
    assert (entry["level"], entry["logger"], entry["rows"]) == (
        "info",
        "app.example",
        3,
    )
    assert entry["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "key", ["password", "api_token", "Authorization", "SECRET_KEY"]
)
def test_credentials_never_reach_the_log(logged: Callable[[], str], key: str) -> None:
    structlog.stdlib.get_logger("app.example").info("connected", **{key: "hunter2"})

    output = logged()
    assert "hunter2" not in output
    assert json.loads(output)[key] == REDACTED


def test_credentials_inside_of_a_value_never_reach_the_log(
    logged: Callable[[], str],
) -> None:
    log = structlog.stdlib.get_logger("app.example")

    log.info("called", headers={"Authorization": "Bearer hunter2", "Accept": "*/*"})

    assert json.loads(logged())["headers"] == {
        "Authorization": REDACTED,
        "Accept": "*/*",
    }


def test_secrets_of_the_service_are_redacted_wherever_they_turn_up(
    logged: Callable[[], str],
) -> None:
    log = logging.getLogger("somebody.else")

    log.warning("refused: %s", [SECRET])
    try:
        raise ValueError(f"no such key: {SECRET}")
    except ValueError:
        log.exception("it failed")

    assert logged().count(REDACTED) == 2
    assert SECRET not in logged()


def test_password_of_an_address_is_redacted(logged: Callable[[], str]) -> None:
    logging.getLogger("kombu").error("cannot reach redis://:hunter2@redis:6379/0")

    assert json.loads(logged())["event"] == (
        f"cannot reach redis://:{REDACTED}@redis:6379/0"
    )


@pytest.mark.parametrize("output", ["json", "console"])
def test_arguments_of_the_running_task_are_redacted_in_what_exceptions_say(
    output: str,
) -> None:
    stream = io.StringIO()
    configuration = logging_config(level="INFO", output=output)
    configuration["handlers"]["stdout"]["stream"] = stream
    logging.config.dictConfig(configuration)
    hide_arguments(("ada@private.example",), {"names": ["Lovelace"], "format": "csv"})

    try:
        raise ValueError("no csv for Lovelace, ada@private.example")
    except ValueError:
        structlog.stdlib.get_logger("app.example").exception("it failed")
    finally:
        logging.config.dictConfig(settings.LOGGING)
        hide_arguments()

    assert "no csv for [argument], [argument]" in stream.getvalue()
    assert "Lovelace" not in stream.getvalue()


@pytest.mark.parametrize("output", ["json", "console"])
def test_traceback_shows_no_local_variables_because_they_may_be_personal(
    output: str,
) -> None:
    stream = io.StringIO()
    configuration = logging_config(level="INFO", output=output)
    configuration["handlers"]["stdout"]["stream"] = stream
    logging.config.dictConfig(configuration)
    customer = "ada@private.example"

    try:
        raise ValueError(len(customer))
    except ValueError:
        structlog.stdlib.get_logger("app.example").exception("it failed")
    finally:
        logging.config.dictConfig(settings.LOGGING)

    assert "ValueError" in stream.getvalue()
    assert customer not in stream.getvalue()


def test_line_that_celery_writes_per_task_is_dropped_with_its_arguments(
    logged: Callable[[], str],
) -> None:
    trace = logging.getLogger("celery.app.trace")

    trace.error("Task %(name)s", {"name": "t"}, extra={"data": {"args": "('ada',)"}})
    trace.error("something else")

    assert [json.loads(line)["event"] for line in logged().splitlines()] == [
        "something else"
    ]


def test_line_about_a_pool_process_that_died_is_structured(
    logged: Callable[[], str],
) -> None:
    # billiard's own, which it keeps from the root logger
    get_logger().info("child process %s calling self.run()", 7)
    get_logger().error("Process %r pid:%r exited with %r", "pool-1", 7, "signal 9")

    [line] = logged().splitlines()
    assert json.loads(line)["event"].startswith("Process 'pool-1' pid:7 exited")


def test_celery_does_not_announce_its_next_version_at_each_loss_of_the_broker(
    logged: Callable[[], str],
) -> None:
    warned = logging.getLogger("py.warnings")

    said: str = vars(consumer)["CANCEL_TASKS_BY_DEFAULT"]
    warned.warning("%s", f"consumer.py:499: CPendingDeprecationWarning: {said}")
    warned.warning("%s", "something.py:1: DeprecationWarning: something else")

    events = [json.loads(line)["event"] for line in logged().splitlines()]
    assert events == ["something.py:1: DeprecationWarning: something else"]


def test_server_that_is_down_is_complained_of_twice_a_minute_by_each_loop(
    logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(name: str, text: str, at: float) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: int(at * 1e9))
        logging.getLogger(name).warning("%s", text)

    for second in range(60):
        say("ledger.doorbell", "the broker is down", at=1000.0 + second)
    say("ledger.doorbell", "it refuses", at=1060.0)
    say("ledger.relay", "the broker is down", at=1060.0)
    for second in range(30):
        say("ledger.schedule", "beat could not work", at=1060.0 + second)
    for _ in range(2):
        say("ledger.request", "process of the task is gone", at=1060.0)

    events = [json.loads(line)["event"] for line in logged().splitlines()]
    assert events == [
        *2 * ["the broker is down"],
        "it refuses",
        "the broker is down",
        "beat could not work",
        *2 * ["process of the task is gone"],
    ]


@pytest.mark.django_db
def test_server_that_is_not_ready_is_an_answer_and_no_error(
    logged: Callable[[], str], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "begun", lambda: True)
    request = RequestFactory().get("/readyz")

    client.get("/readyz")
    for status in (500, 503):
        other = request if status == 500 else RequestFactory().get("/api/")
        log_response("it failed", response=HttpResponse(status=status), request=other)

    entries = [json.loads(line) for line in logged().splitlines()]
    assert [entry["event"] for entry in entries] == 2 * ["it failed"]


def test_keys_of_all_lines_are_in_one_order(logged: Callable[[], str]) -> None:
    log = structlog.stdlib.get_logger("app.example")

    log.info("it happened", task="a", queue="b")
    log.info("it happened", queue="b", task="a")

    first, second = [list(json.loads(line)) for line in logged().splitlines()]
    assert first == second


def test_line_on_a_terminal_names_the_task_and_leaves_the_ids_out() -> None:
    line = for_people(
        None, "info", {"event": "task started", "task": "a.b.send", "root_id": "x"}
    )

    assert line == {"event": "task started: send"}


def test_line_of_a_library_is_structured_too(logged: Callable[[], str]) -> None:
    logging.getLogger("somebody.else").warning("%d things", 2)

    entry = json.loads(logged())
    assert (entry["event"], entry["level"]) == ("2 things", "warning")


def test_request_is_logged_with_its_id_status_and_seconds(
    logged: Callable[[], str], client: Client
) -> None:
    client.get("/api/none?key=hunter2", headers={"X-Request-ID": "from-the-proxy"})

    entry = json.loads(logged().splitlines()[0])
    assert (entry["request_id"], entry["status"]) == ("from-the-proxy", 404)
    assert (entry["method"], entry["path"]) == ("GET", "/api/none")
    assert entry["running_seconds"] >= 0


def test_health_checks_do_not_drown_the_log(
    logged: Callable[[], str], client: Client
) -> None:
    client.get("/healthz")

    assert logged() == ""


def test_request_id_of_a_proxy_is_kept(client: Client) -> None:
    response = client.get("/admin/login/", headers={"X-Request-ID": "from-the-proxy"})

    assert response["X-Request-ID"] == "from-the-proxy"


@pytest.mark.parametrize("sent", ["", "short", "x" * 65, "new\nline-in-log"])
def test_unusable_request_id_is_replaced(client: Client, sent: str) -> None:
    response = client.get("/admin/login/", headers={"X-Request-ID": sent})

    assert response["X-Request-ID"] != sent
    assert len(response["X-Request-ID"]) == 32


@pytest.mark.parametrize("colours", [True, False])
def test_colours_of_the_console_can_be_left_out(colours: bool) -> None:
    configuration = logging_config(level="INFO", output="console", colours=colours)
    configuration["handlers"]["stdout"]["stream"] = stream = io.StringIO()
    logging.config.dictConfig(configuration)

    structlog.stdlib.get_logger("app.example").warning("it happened")

    logging.config.dictConfig(settings.LOGGING)
    assert "it happened" in stream.getvalue()
    assert ("\x1b[" in stream.getvalue()) == colours
