"""What becomes of a test whose server is not installed."""

import os
from typing import NoReturn

import pytest


def missing(server: str) -> NoReturn:
    """Skip the test, or fail it where nothing may be left out (`REQUIRE_SERVERS=1`)."""
    reason = f"needs {server}"
    if os.environ.get("REQUIRE_SERVERS"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
