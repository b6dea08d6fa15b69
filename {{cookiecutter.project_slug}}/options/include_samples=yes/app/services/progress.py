"""How a service tells its caller how far it is."""

from collections.abc import Callable

# Called with how much is done and how much there is in all.
Progress = Callable[[int, int], None]


def ignore(current: int, total: int) -> None:
    """Report to nobody."""
