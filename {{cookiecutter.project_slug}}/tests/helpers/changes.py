"""What has changed between two looks at the effects, for the message of a failed test."""

from collections.abc import Mapping
from typing import Any


def changes(old: object, new: object) -> str:
    """Say what has changed: of tables, just the rows that differ.

    Args:
        old: effects, such as `business_rows()` returns them, or any other value.
        new: the same, later.

    Returns:
        `1 -> 2`; for tables, one line per row: `- Invoice {…}` is gone, `+ Invoice {…}` new.
    """
    if old == new:
        return "no change"
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return f"{old!r} -> {new!r}"
    lines = []
    for name in {**old, **new}:
        before, after = _rows(old.get(name)), _rows(new.get(name))
        lines += [f"- {name} {row!r}" for row in _less(before, after)]
        lines += [f"+ {name} {row!r}" for row in _less(after, before)]
    return "\n".join(["", *lines]) if lines else f"{old!r} -> {new!r}"


def _rows(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _less(rows: list[Any], others: list[Any]) -> list[Any]:
    """Return the rows without those others; of two equal ones, one takes one away."""
    left = list(rows)
    for row in others:
        if row in left:
            left.remove(row)
    return left
