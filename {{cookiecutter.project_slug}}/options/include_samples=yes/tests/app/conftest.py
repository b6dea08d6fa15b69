"""Fixtures of the unit tests of `app/`."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.harness.mail_servers import MailServer, serving_mail


@pytest.fixture
def mail_server(settings: Settings) -> Iterator[MailServer]:
    """A real SMTP server, to which Django sends its mail."""
    with serving_mail() as running:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST = "127.0.0.1"
        settings.EMAIL_PORT = running.port
        settings.EMAIL_USE_TLS = False
        yield running
