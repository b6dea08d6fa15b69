"""The mutations fit the code: a quick look, so that they are not found stale much later."""

import pytest

from tests.chaos.mutants import ROOT, mutated
from tests.chaos.mutations import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.safeguard)
def test_mutation_applies_and_names_a_test_that_exists(mutation: Mutation) -> None:
    file, _, name = mutation.test.partition("::")

    assert mutated(mutation, ROOT)
    assert f"def {name}(" in (ROOT / "tests" / "chaos" / file).read_text("utf-8")
