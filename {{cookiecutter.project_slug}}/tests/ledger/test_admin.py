"""The admin pages of runs."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ledger import admin
from ledger.models import TaskRun
from ledger.states import State
from tests.harness.effects.models import Effect
from tests.harness.effects.tasks import add, fail, fails_until
from tests.harness.inline import InlineWorker, run_of
from tests.ledger.test_prune import make

LIST = "/admin/ledger/taskrun/"


@pytest.fixture
def operator() -> Client:
    """A client of a person who may see and change runs, and nothing else."""
    return _client("view_taskrun", "change_taskrun")


def _client(*permissions: str) -> Client:
    user = User.objects.create_user("person", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def act(client: Client, action: str, *runs: TaskRun) -> str:
    answer = client.post(
        LIST,
        {"action": action, "_selected_action": [run.pk for run in runs]},
        follow=True,
    )
    return answer.content.decode()


def test_list_shows_state_and_reason(operator: Client) -> None:
    make(State.FAILED, timezone.now(), reason="ValueError: odd\nand more")

    page = operator.get(LIST).content.decode()

    assert "ValueError: odd" in page
    assert "and more" not in page


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=failed", 1),
        ("state=cancelled,dead,failed", 2),
        ("queue=io", 1),
        ("q=run 00001", 1),
        ("q=run 0", 0),
        ("q=som", 3),
        ("created_at__isnull=False", 3),
    ],
)
def test_list_is_filtered_and_searched(
    operator: Client, query: str, found: int
) -> None:
    make(State.FAILED, timezone.now())
    make(State.DEAD, timezone.now(), queue="io")
    make(State.QUEUED, None)

    page = operator.get(f"{LIST}?{query}").content.decode()

    assert page.count('name="_selected_action"') == found


def test_list_never_counts_all_rows(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "COUNTED_ROWS", 3)
    for _ in range(5):
        make(State.SUCCEEDED, timezone.now())

    with CaptureQueriesContext(connection) as queries:
        page = operator.get(LIST).content.decode()

    counts = [query["sql"] for query in queries if "COUNT" in query["sql"]]
    assert counts
    assert all("LIMIT 3" in query for query in counts)
    assert "3 task runs" in page


def test_page_of_a_run_shows_everything_and_changes_nothing(
    operator: Client, worker: InlineWorker
) -> None:
    result = fail.delay("<odd>")
    worker.drain()

    page = operator.get(f"{LIST}{result.id}/change/").content.decode()

    for part in ("&lt;odd&gt;", "Traceback", "ValueError", fail.name, "Started at"):
        assert part in page, part
    assert "<odd>" not in page
    assert 'name="_save"' not in page
    assert "deletelink" not in page


def test_replay_and_cancel_of_selected_runs(
    operator: Client, worker: InlineWorker
) -> None:
    failed = fails_until.delay("mended", 7)
    worker.drain()
    Effect.objects.create(key="mended")
    waiting = add.apply_async((1, 2), countdown=60)

    replayed = act(operator, "replay_runs", run_of(failed), run_of(waiting))
    cancelled = act(operator, "cancel_runs", run_of(waiting))

    assert "1 × replayed" in replayed
    assert "1 × not replayed: it is pending" in replayed
    assert "1 × cancelled" in cancelled
    worker.drain()
    assert run_of(failed).state == State.SUCCEEDED
    assert run_of(waiting).state == State.CANCELLED


def test_person_who_may_only_look_has_no_actions() -> None:
    run = make(State.PENDING, None)
    spectator = _client("view_taskrun")

    page: Any = spectator.get(LIST).content.decode()
    act(spectator, "cancel_runs", run)

    assert "cancel_runs" not in page
    assert run_of(run).state == State.PENDING
