"""The order of the tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the slow ones first, so that no core idles while the last one runs."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
