"""Text that a database does not take: it is no reason to lose why a run has ended.

PostgreSQL refuses NUL, and no driver encodes half a character, as `os.listdir` returns it:
https://docs.python.org/3/library/os.html#file-names-command-line-arguments-and-environment-variables
"""

from typing import Any

import pytest
from celery import chain, chord, group
from django.test import Client

from ledger import report, unstarted
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.calls import retried_for
from tests.harness.effects.tasks import (
    add,
    echo,
    errback,
    fail,
    plain_fail,
    total,
)
from tests.harness.inline import InlineWorker, run_of

pytestmark = pytest.mark.usefixtures("every_row_ends")

ODD = pytest.mark.parametrize(
    ("odd", "kept"),
    [("nul \x00 here", r"nul \x00 here"), ("half \udcff here", r"half \udcff here")],
    ids=["nul", "surrogate"],
)


@ODD
@pytest.mark.parametrize("task", [fail, plain_fail])
def test_run_that_failed_with_such_text_ran_once_and_says_why(
    worker: InlineWorker, task: Any, odd: str, kept: str
) -> None:
    result = task.delay(odd)
    worker.drain()

    run = run_of(result)
    assert (run.state, run.attempts, run.reason) == (
        State.FAILED,
        1,
        f"ValueError: {kept}",
    )
    assert kept in (run.traceback or "")
    with pytest.raises(ValueError, match="here") as raised:
        result.get(timeout=1)
    assert str(raised.value) == odd


@ODD
def test_retry_because_of_such_text_is_a_retry(
    worker: InlineWorker, odd: str, kept: str
) -> None:
    result = retried_for.delay(odd)
    worker.drain(now=False)

    assert result.state == "RETRY"
    assert kept in (run_of(result).traceback or "")
    worker.drain()
    assert result.get(timeout=1) == 1


@ODD
def test_what_hangs_on_a_run_that_failed_with_such_text_ends_with_it(
    worker: InlineWorker, odd: str, kept: str
) -> None:
    body = chord([add.s(1, 2), fail.s(odd)], total.s().on_error(errback.s())).delay()
    last = chain(fail.si(odd), echo.si("never")).delay()
    worker.drain()

    assert kept in run_of(body).reason
    assert kept in run_of(last).reason


@ODD
def test_run_that_never_started_says_why(odd: str, kept: str) -> None:
    result = echo.apply_async(("later",), countdown=60)
    try:
        raise ValueError(odd)
    except ValueError as error:
        assert unstarted.end(result.id, error)

    run = run_of(result)
    assert run.reason == f"ValueError: {kept}"
    assert kept in (run.traceback or "")


@ODD
def test_arguments_progress_and_results_have_such_text_as_it_is(
    worker: InlineWorker, odd: str, kept: str
) -> None:
    result = group(echo.s(odd), echo.s({"value": [odd]})).delay()
    worker.drain()

    assert result.get(timeout=1) == [odd, {"value": [odd]}]
    echo.backend.store_result("of a stranger", {"line": odd}, "PROGRESS")
    assert echo.AsyncResult("of a stranger").info == {"line": odd}
    TaskRun.objects.filter(pk="of a stranger").delete()


@pytest.mark.parametrize("odd", ["\udcff", ["\udcff"]], ids=["text", "list"])
def test_run_whose_result_is_half_a_character_is_shown(
    worker: InlineWorker, admin_client: Client, odd: Any
) -> None:
    result = echo.delay(odd)
    worker.drain()

    page = admin_client.get(f"/admin/ledger/taskrun/{result.id}/change/")
    lines = "\n".join(report.page(run_of(result)))

    assert r"\udcff" in page.content.decode()
    assert r"\udcff" in lines
    assert lines.encode()
