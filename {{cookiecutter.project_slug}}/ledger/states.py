"""The states of a run and the only legal moves between them.

Every UPDATE of the ledger names the states that it starts from in its WHERE clause. The
tests install `MOVES` as a trigger in the database, so that no statement can disagree.
"""

from celery import states as celery_states
from django.db.models import TextChoices


class State(TextChoices):
    """Where a run stands; what follows the first four is final, but for `REPLACED`."""

    PENDING = "pending", "due later, or waiting for the broker"
    QUEUED = "queued", "a message is on its way to a worker"
    RUNNING = "running", "a worker holds a lease on it"
    REPLACED = "replaced", "other tasks complete it (Task.replace)"
    SUCCEEDED = "succeeded", "ended well"
    FAILED = "failed", "ended with an exception"
    DEAD = "dead", "started too often without an end, or startable by no worker"
    CANCELLED = "cancelled", "revoked, expired or ignored"


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.DEAD, State.CANCELLED})
ACTIVE = frozenset(State) - FINAL

_COMPLETED = frozenset(
    {State.SUCCEEDED, State.FAILED, State.CANCELLED, State.REPLACED},
)

MOVES: dict[State, frozenset[State]] = {
    # Rung when due; claimed by a message that is older than the wait; ended unstarted; or
    # completed by a worker whose lease ran out, as long as nobody has started it again.
    State.PENDING: frozenset({State.QUEUED, State.RUNNING}) | _COMPLETED,
    # Claimed; back to pending because the broker did not take the message, because the worker
    # that got it cannot execute it, or because it came before a slot of the task's rate limit;
    # dead when no worker could for long; or as above.
    State.QUEUED: frozenset({State.PENDING, State.RUNNING, State.DEAD}) | _COMPLETED,
    # Completed; retried, or freed after a crash; buried after too many of them.
    State.RUNNING: frozenset({State.PENDING, State.QUEUED, State.DEAD}) | _COMPLETED,
    # Taken over by the last task of the replacement, or ended by one before it.
    State.REPLACED: frozenset({State.PENDING, State.QUEUED}) | _COMPLETED,
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.DEAD: frozenset(),
    State.CANCELLED: frozenset(),
}

# What a person may do besides: `ledger.replay` puts a run back that ended without success,
# as another call of its own.
REPLAYABLE = frozenset({State.FAILED, State.DEAD, State.CANCELLED})
REPLAYED_TO = frozenset({State.PENDING, State.QUEUED})

# What `AsyncResult.state` says; a run that is not final may have a state of its own name
# (`RETRY`, or what `update_state` was given), which comes first.
SHOWN_AS: dict[State, str] = {
    State.PENDING: celery_states.PENDING,
    State.QUEUED: celery_states.PENDING,
    State.RUNNING: celery_states.STARTED,
    State.REPLACED: celery_states.PENDING,
    State.SUCCEEDED: celery_states.SUCCESS,
    State.FAILED: celery_states.FAILURE,
    State.DEAD: celery_states.FAILURE,
    State.CANCELLED: celery_states.REVOKED,
}

ENDED_AS: dict[str, State] = {
    celery_states.SUCCESS: State.SUCCEEDED,
    celery_states.FAILURE: State.FAILED,
    celery_states.REVOKED: State.CANCELLED,
}


def may_move(before: State, after: State) -> bool:
    """Return whether a run in the state `before` may go on to `after`."""
    return after in MOVES[before]
