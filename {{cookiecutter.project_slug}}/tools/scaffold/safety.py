"""What makes a second execution of a new task harmless: its queue decides."""

from typing import NamedTuple

# Whose tasks wait for other services, as their purpose in config/queues.py says.
_ASK_OTHERS = ("critical", "io", "slow")

# Whose tasks are short enough to keep a transaction open.
_SHORT = ("fast",)


class Safety(NamedTuple):
    """What a task declares, and what it hands on.

    Attributes:
        policy: of its retries: NETWORK or DATABASE.
        declared: what its decorator says about a second execution; blank for nothing.
        takes_key: whether the service gets the run's idempotency key, by which another
            service tells the second request.
    """

    policy: str
    declared: str
    takes_key: bool


def of_queue(queue: str) -> Safety:
    """Return what suits the work of a queue, by its name."""
    if queue in _ASK_OTHERS:
        return Safety("NETWORK", "", takes_key=True)
    if queue in _SHORT:
        return Safety("DATABASE", "atomic=True", takes_key=False)
    reason = "natural key: what is done already is found, and left as it is"
    return Safety("DATABASE", f'idempotent="{reason}"', takes_key=False)
