"""What a rule is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tools.contract.finding import Finding
from tools.contract.tasks import Code

Check = Callable[[Code], Iterator[Finding]]


@dataclass(frozen=True)
class Rule:
    """One promise of the contract.

    Attributes:
        id: in kebab case; what a suppression names.
        why: one sentence, for whoever has just broken it.
        check: finds the places that do.
    """

    id: str
    why: str
    check: Check

    @property
    def page(self) -> str:
        """Its page, with examples that are its tests."""
        return f"docs/rules/{self.id}.md"


def rule(id: str, why: str) -> Callable[[Check], Rule]:
    """Make a rule of the function below; see `Rule` for the arguments."""
    return lambda check: Rule(id, why, check)
