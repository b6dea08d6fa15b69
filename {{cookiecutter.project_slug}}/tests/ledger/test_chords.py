"""Chords on the ledger: every shape of header and body, and every way to fail."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError, SoftTimeLimitExceeded
from django.db import connection

from config.celery import app
from ledger import relay, sql
from ledger.chords import Chords
from ledger.models import TaskRun
from tests.harness.effects.tasks import (
    add,
    adds_to_chord,
    breaking_errback,
    echo,
    ends_itself,
    errback,
    fail,
    ignored,
    new_errback,
    plain_add,
    plain_total,
    replaced_by,
    retried,
    total,
    total_effect,
)
from tests.harness.inline import InlineWorker, effects

pytestmark = pytest.mark.usefixtures("every_row_ends")


def test_chain_that_fails_fails_the_rest_and_calls_the_errback(
    worker: InlineWorker,
) -> None:
    result = chain(add.s(1, 2), fail.si(), add.s(100)).apply_async(
        link_error=errback.s()
    )

    worker.drain()

    with pytest.raises(ValueError, match="bad"):
        result.get(timeout=1)
    assert len(effects("errback")) == 1
    assert result.state == "FAILURE"


def test_group_with_a_failing_member(worker: InlineWorker) -> None:
    result = group(add.s(1, 1), fail.s(), plain_add.s(2, 2))()

    worker.drain()

    with pytest.raises(ValueError, match="bad"):
        result.get(timeout=1)
    assert result.failed()
    assert result.get(timeout=1, propagate=False)[0::2] == [2, 4]


def test_chord(worker: InlineWorker) -> None:
    result = chord((add.s(number, 1) for number in range(20)), total.s())()

    worker.drain()

    assert result.get(timeout=1) == sum(range(1, 21))
    header: Any = result.parent
    assert header.get(timeout=1) == list(range(1, 21))


def test_chord_of_plain_and_durable_members(worker: InlineWorker) -> None:
    result = chord([add.s(1, 1), plain_add.s(2, 2), ignored.s(3)], total.s())()

    worker.drain()

    assert result.get(timeout=1) == 9


def test_chord_with_a_plain_body(worker: InlineWorker) -> None:
    result = chord([add.s(1, 1), add.s(2, 2)], plain_total.s())()

    worker.drain()

    assert result.get(timeout=1) == 6


def test_chord_without_members_starts_its_body(worker: InlineWorker) -> None:
    result = chord([], total.s())()

    worker.drain()

    assert result.get(timeout=1) == 0


def test_chord_with_one_member(worker: InlineWorker) -> None:
    result = chord([add.s(1, 1)], total.s())()

    worker.drain()

    assert result.get(timeout=1) == 2


def test_chord_of_chains(worker: InlineWorker) -> None:
    header = [chain(add.s(number, 1), add.s(10)) for number in range(3)]

    result = chord(header, total.s())()

    worker.drain()
    assert result.get(timeout=1) == 36


def test_chord_of_chords(worker: InlineWorker) -> None:
    inner = [chord([add.s(1, 1), add.s(2, 2)], total.s()) for _ in range(3)]

    result = chord(inner, total.s())()

    worker.drain()
    assert result.get(timeout=1) == 18


def test_chord_whose_body_is_a_chain(worker: InlineWorker) -> None:
    result = chord([add.s(1, 1), add.s(2, 2)], total.s() | add.s(100) | add.s(1000))()

    worker.drain()

    assert result.get(timeout=1) == 1106


def test_chord_whose_body_is_a_group(worker: InlineWorker) -> None:
    result = chord([add.s(1, 1), add.s(2, 2)], group(total.s(), echo.s()))()

    worker.drain()

    assert result.get(timeout=1) == [6, [2, 4]]


def test_chord_whose_body_is_a_chord(worker: InlineWorker) -> None:
    body = chord([total.s(), echo.si(4)], total.s())

    result = chord([add.s(1, 1), add.s(2, 2)], body)()

    worker.drain()
    assert result.get(timeout=1) == 10


def test_chord_with_groups_as_members(worker: InlineWorker) -> None:
    header = group(group(add.s(1, 1), add.s(2, 2)), add.s(3, 3))

    result = chord(header, echo.s())()

    worker.drain()
    assert sorted(result.get(timeout=1)) == [2, 4, 6]


def test_chord_with_a_chain_that_ends_in_a_group(worker: InlineWorker) -> None:
    header = [chain(add.s(1, 1), group(add.s(10), add.s(20))), add.s(3, 3)]

    result = chord(header, echo.s())()

    worker.drain()
    assert result.get(timeout=1) == [[12, 22], 6]


def test_group_before_a_task_becomes_a_chord(worker: InlineWorker) -> None:
    result = (group(add.s(1, 1), add.s(2, 2)) | total.s() | add.s(10))()

    worker.drain()

    assert result.get(timeout=1) == 16


def test_chord_with_a_failing_member_never_starts_its_body(
    worker: InlineWorker,
) -> None:
    body = total_effect.s("body").on_error(errback.s())
    result = chord([add.s(1, 1), fail.s("broken"), add.s(2, 2)], body)()

    worker.drain()

    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=1)
    assert effects("body") == []
    assert effects("errback") == [f"errback {result.id}"]


def test_error_of_a_chord_names_the_member_that_failed(worker: InlineWorker) -> None:
    member = fail.s("broken")
    result = chord([add.s(1, 1), member], total.s())()
    worker.drain()
    failed = TaskRun.objects.get(name=fail.name)

    with pytest.raises(ChordError, match=f"Dependency {failed.id} raised .*broken"):
        result.get(timeout=1, follow_parents=False)


def test_new_style_errback_of_a_chord_gets_request_and_error(
    worker: InlineWorker,
) -> None:
    result = chord([fail.s()], total.s().on_error(new_errback.s()))()

    worker.drain()

    [called] = effects("new errback")
    assert result.id in called
    assert "ChordError" in called


def test_errback_that_breaks_its_transaction_leaves_the_failure_stored(
    worker: InlineWorker,
) -> None:
    result = fail.apply_async(link_error=[breaking_errback.s(), new_errback.s()])

    worker.drain()

    assert result.state == "FAILURE"
    assert "bad" in TaskRun.objects.get(pk=result.id).reason


def test_error_in_the_tail_of_a_chain_in_a_header(worker: InlineWorker) -> None:
    header = [chain(fail.s("early"), add.s(1), add.s(2)), add.s(1, 1)]

    result = chord(header, total_effect.s("body"))()

    worker.drain()
    with pytest.raises((ChordError, ValueError), match="early"):
        result.get(timeout=1)
    assert effects("body") == []


def test_error_in_a_chord_within_a_chord(worker: InlineWorker) -> None:
    inner = chord([fail.s("deep"), add.s(1, 1)], total.s())

    result = chord([inner, add.s(2, 2)], total_effect.s("body"))()

    worker.drain()
    with pytest.raises((ChordError, ValueError), match="deep"):
        result.get(timeout=1)
    assert effects("body") == []


def test_error_in_the_header_fails_every_task_of_a_group_body(
    worker: InlineWorker,
) -> None:
    body = group(total_effect.s("body"), total.s())

    result: Any = chord([fail.s("broken"), add.s(1, 1)], body)()

    worker.drain()
    assert result.failed()
    assert all(member.state == "FAILURE" for member in result.results)


def test_error_in_the_header_fails_the_rest_of_a_chain_body(
    worker: InlineWorker,
) -> None:
    result = chord([fail.s("broken")], total.s() | add.s(1) | add.s(2))()

    worker.drain()

    assert result.state == "FAILURE"


def test_errback_on_the_header_too_where_the_setting_says_so(
    worker: InlineWorker, app_setting: Callable[[str, object], None]
) -> None:
    app_setting("task_allow_error_cb_on_chord_header", True)
    canvas = chord([fail.s("one"), add.s(1, 1)], total.s())
    canvas.link_error(errback.si("called"))

    canvas()

    worker.drain()
    assert effects("errback") == ["errback called"] * 2


def test_member_can_add_another_to_its_chord(worker: InlineWorker) -> None:
    result = chord([adds_to_chord.s(1), adds_to_chord.s(2)], total.s())()

    worker.drain()

    assert result.get(timeout=1) == 1 + 101 + 2 + 102


def test_member_that_is_retried_counts_once(worker: InlineWorker) -> None:
    result = chord([retried.s(2), retried.s(1), add.s(1, 1)], total.s())()

    worker.drain()

    assert result.get(timeout=1) == 5


def test_member_that_is_replaced_counts_once(worker: InlineWorker) -> None:
    header = [replaced_by.s(add.s(1, 1)), replaced_by.s(chain(add.s(1, 1), add.s(5)))]

    result = chord(header, total.s())()

    worker.drain()
    assert result.get(timeout=1) == 9


def test_body_that_refuses_its_arguments_fails_the_chord_only(
    worker: InlineWorker,
) -> None:
    result = chord([add.s(1, 1)], total_effect.s())()

    worker.drain()

    with pytest.raises(ChordError, match="Callback error"):
        result.get(timeout=1)
    assert TaskRun.objects.get(name=add.name).state == "succeeded"


def test_generator_header_is_not_exhausted_before_it_is_sent(
    worker: InlineWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    produced: list[int] = []

    def header() -> Iterator[Any]:
        for number in range(5):
            produced.append(number)
            yield add.s(number, 0)

    backend: Any = add.backend
    seen_at_apply: list[int] = []
    original = backend.apply_chord

    def apply_chord(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        seen_at_apply.append(len(produced))

    monkeypatch.setattr(backend, "apply_chord", apply_chord)
    result = chord(header(), total.s())()

    worker.drain()
    assert result.get(timeout=1) == 10
    assert seen_at_apply[0] < 5


def test_error_of_the_header_comes_before_that_of_the_body(
    worker: InlineWorker,
) -> None:
    result: Any = chord([fail.s("broken")], total.s())()
    worker.drain()
    backend: Any = result.backend

    with pytest.raises(ValueError, match="broken"):
        backend.wait_for(result.id, on_interval=result.parent.maybe_throw)


@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="SQLite does not check the length of text"
)
def test_body_that_the_database_refuses_fails_the_chord_only(
    worker: InlineWorker,
) -> None:
    body: Any = total.s()
    result = chord([add.s(1, 1)], body.set(unique_key="x" * 300))()

    worker.drain()

    with pytest.raises(ChordError, match="Callback error"):
        result.get(timeout=1)
    assert TaskRun.objects.get(name=add.name).state == "succeeded"


def test_soft_limit_of_the_last_member_while_it_starts_the_body_fails_no_chord(
    worker: InlineWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        raise SoftTimeLimitExceeded

    result = chord([add.s(1, 1), add.s(2, 2)], total.s())()
    with monkeypatch.context() as patch, pytest.warns(RuntimeWarning):
        patch.setattr(Chords, "_results", interrupted)
        worker.drain()
    sql.execute(f"UPDATE ledger_taskrun SET lease_until = {sql.later('-1')}")
    relay.step()
    worker.drain()

    assert result.get(timeout=1) == 6


def test_revoked_head_of_a_chain_in_a_header_fails_the_chord(
    worker: InlineWorker,
) -> None:
    head = add.s(1, 1).set(countdown=60, task_id="head")
    result = chord([chain(head, add.s(1)), add.s(2, 2)], total.s())()
    worker.drain(now=False)

    app.control.revoke("head")

    worker.drain()
    assert (result.state, error_of(result)) == ("FAILURE", "ChordError")


def test_step_that_was_revoked_before_its_turn_fails_the_chord(
    worker: InlineWorker,
) -> None:
    step = add.s(1).set(task_id="step")
    app.backend.mark_as_revoked("step")

    result = chord([chain(add.s(1, 1), step, add.s(1)), add.s(2, 2)], total.s())()

    worker.drain()
    assert (result.state, error_of(result)) == ("FAILURE", "ChordError")


def test_chain_in_a_header_that_ends_itself_fails_the_chord(
    worker: InlineWorker,
) -> None:
    result = chord([chain(ends_itself.si(), add.si(1, 1)), add.s(2, 2)], total.s())()

    worker.drain()

    assert (result.state, error_of(result)) == ("FAILURE", "ChordError")


def test_chord_that_is_applied_once_more_is_the_same_chord(
    worker: InlineWorker,
) -> None:
    canvas = chord([add.s(1, 1), add.s(2, 2)], total_effect.s("body"))
    canvas.freeze()
    first = canvas.apply_async()
    worker.drain()

    second = canvas.apply_async()

    worker.drain()
    assert (first.id, second.get(timeout=1)) == (second.id, 6)
    assert effects("body") == ["body"]


def test_rows_of_a_body_that_never_started_have_its_name(worker: InlineWorker) -> None:
    chord([fail.s()], total.s())()
    chord([fail.s()], group(total.s(), echo.s()))()
    chord([fail.s()], echo.s() | total.s())()

    worker.drain()

    failed = TaskRun.objects.filter(state="failed").exclude(name=fail.name)
    names = sorted(failed.values_list("name", flat=True))
    assert names == ["celery.group", echo.name, total.name, total.name, total.name]


def error_of(result: Any) -> str:
    return type(result.get(timeout=1, propagate=False)).__name__
