"""What processes print is JSON, from their first line to their last."""

import json

import pytest

from tests.harness.processes import STOP_SECONDS
from tests.harness.web import StartWeb

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


def test_web_server_logs_json_when_it_starts_and_when_it_stops(web: StartWeb) -> None:
    server = web()
    server.stop(STOP_SECONDS)

    entries = [json.loads(line) for line in server.output()]
    events = " ".join(entry["event"] for entry in entries)
    assert "Listening at" in events and "Shutting down" in events
    assert all({"timestamp", "level", "logger"} <= entry.keys() for entry in entries)
