"""Fixtures of the tools' tests."""

from pathlib import Path

import pytest

from tests.tools.sample_project import Sample


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """A small project that keeps the contract until the test spoils it."""
    return Sample(tmp_path)
