"""The fixtures of the pipeline's tests."""

from collections.abc import Iterator

import pytest
from celery.contrib.testing.worker import start_worker

from config.celery import app

POLL_SECONDS = 0.01


@pytest.fixture(scope="package")
def worker_thread(django_db_setup: None) -> Iterator[None]:
    """A worker in a thread of this process: real callbacks and chords, no server."""
    before = app.conf.broker_transport_options
    # The broker in memory is asked for messages once a second otherwise.
    app.conf.broker_transport_options = {"polling_interval": POLL_SECONDS}
    with start_worker(app, pool="solo", perform_ping_check=False):
        yield
    app.conf.broker_transport_options = before


@pytest.fixture
def pipeline(transactional_db: None, worker_thread: None) -> None:
    """Tasks that are sent run, on a database that their thread sees too."""
