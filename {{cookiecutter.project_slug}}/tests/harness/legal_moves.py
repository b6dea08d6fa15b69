"""The table of legal moves as a trigger: no statement can leave it unnoticed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ledger.states import MOVES, REPLAYABLE, REPLAYED_TO, State


@contextmanager
def enforced(connection: Any) -> Iterator[None]:
    """Make the database refuse every move that `ledger.states` does not have."""
    legal = " OR ".join(
        f"(OLD.state = '{before.value}' AND NEW.state = '{after.value}')"
        for before, afters in MOVES.items()
        for after in afters
    )
    legal += (
        f" OR (OLD.state IN ({_listed(REPLAYABLE)}) AND NEW.state IN"
        f" ({_listed(REPLAYED_TO)}) AND NEW.call_number = OLD.call_number + 1)"
    )
    with connection.cursor() as cursor:
        for statement in _statements(connection.vendor, legal):
            cursor.execute(statement)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            on_table = " ON ledger_taskrun" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER legal_moves{on_table}")


def _listed(states: Iterable[State]) -> str:
    return ", ".join(f"'{state.value}'" for state in states)


def _statements(vendor: str, legal: str) -> list[str]:
    if vendor == "postgresql":
        return [
            "CREATE OR REPLACE FUNCTION refuse_move() RETURNS trigger AS"
            " 'BEGIN RAISE EXCEPTION ''illegal move: % to %'', OLD.state, NEW.state; END'"
            " LANGUAGE plpgsql",
            "DROP TRIGGER IF EXISTS legal_moves ON ledger_taskrun",
            "CREATE TRIGGER legal_moves BEFORE UPDATE ON ledger_taskrun FOR EACH ROW"
            f" WHEN (OLD.state <> NEW.state AND NOT ({legal}))"
            " EXECUTE FUNCTION refuse_move()",
        ]
    return [
        "DROP TRIGGER IF EXISTS legal_moves",
        "CREATE TRIGGER legal_moves BEFORE UPDATE ON ledger_taskrun"
        f" WHEN OLD.state <> NEW.state AND NOT ({legal})"
        " BEGIN SELECT RAISE(ABORT, 'illegal move'); END",
    ]
