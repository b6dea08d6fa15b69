"""How many messages per second go out, to a real mail server on the same machine."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from pytest_django import Settings

from app.models import Mailing
from app.services import email
from tests.harness.mail_servers import serving_mail

pytestmark = [pytest.mark.performance, pytest.mark.django_db(transaction=True)]

MESSAGES = 200
ROUNDS = 3

# Far below what any machine reaches: a run below it has a fault, not a slow processor.
LEAST_PER_SECOND = 20


def test_mail_rate(benchmark: BenchmarkFixture, settings: Settings) -> None:
    def write() -> tuple[tuple[int], dict[str, object]]:
        readers = [f"reader{number}@example.org" for number in range(MESSAGES)]
        mailing: Mailing = email.create("News", "Text", readers)
        return (mailing.pk,), {}

    with serving_mail() as mail:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST = "127.0.0.1"
        settings.EMAIL_PORT = mail.port
        settings.EMAIL_USE_TLS = False
        benchmark.pedantic(email.send, setup=write, rounds=ROUNDS)

    assert benchmark.stats is not None
    rate = MESSAGES / benchmark.stats.stats.median
    benchmark.extra_info["messages per second"] = round(rate)
    assert len(mail.received) == ROUNDS * MESSAGES
    assert rate > LEAST_PER_SECOND
