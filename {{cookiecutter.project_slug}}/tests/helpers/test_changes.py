"""What is said of effects that differ."""

import pytest

from tests.helpers.changes import changes


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (1, 2, "1 -> 2"),
        (1, 1, "no change"),
        ({"a"}, {"a", "b"}, "{'a'} -> "),
        ({}, {"Invoice": [{"id": 1}]}, "\n+ Invoice {'id': 1}"),
        ({"Invoice": [{"id": 1}]}, {}, "\n- Invoice {'id': 1}"),
        ({"paid": 1}, {"paid": 2}, "\n- paid 1\n+ paid 2"),
        ({"a": [1, 2]}, {"a": [2, 1]}, "{'a': [1, 2]} -> {'a': [2, 1]}"),
    ],
)
def test_change_is_said_in_short(old: object, new: object, said: str) -> None:
    assert changes(old, new).startswith(said)


def test_rows_that_are_the_same_are_left_out() -> None:
    kept = {"id": 1, "charged": True}
    old = {"Invoice": [kept, {"id": 2, "charged": False}], "Payment": [kept]}
    new = {"Invoice": [kept, {"id": 2, "charged": True}], "Payment": [kept]}

    assert changes(old, new) == (
        "\n- Invoice {'id': 2, 'charged': False}\n+ Invoice {'id': 2, 'charged': True}"
    )
