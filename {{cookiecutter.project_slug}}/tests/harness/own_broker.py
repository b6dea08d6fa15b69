"""A broker of a test's own, of the kind that the test run is about."""

from contextlib import AbstractContextManager
from typing import Protocol

from tests.harness.own_rabbit import own_rabbit
from tests.harness.own_redis import own_redis
from tests.settings import ON_RABBITMQ


class OwnBroker(Protocol):
    """What both kinds have in common."""

    @property
    def url(self) -> str:
        """Its address, whether it runs or not."""

    def start(self) -> None:
        """Start it, and wait until it answers."""

    def stop(self) -> None:
        """Stop it in good order."""

    def kill(self) -> None:
        """Stop it as a crash does."""

    def fill(self) -> None:
        """Make it take no more messages."""

    def relieve(self) -> None:
        """Let it take messages again."""


def own_broker() -> AbstractContextManager[OwnBroker]:
    """Provide a broker that runs, and surely stop it."""
    return own_rabbit() if ON_RABBITMQ else own_redis()
