"""Factories of the email domain."""

import factory
from factory.django import DjangoModelFactory

from app.models import MailDelivery, Mailing


class MailingFactory(DjangoModelFactory[Mailing]):
    """A mailing without recipients."""

    class Meta:
        model = Mailing

    subject = factory.Sequence(lambda number: f"News {number}")
    body = "Something happened."


class MailDeliveryFactory(DjangoModelFactory[MailDelivery]):
    """A pending delivery."""

    class Meta:
        model = MailDelivery

    mailing = factory.SubFactory(MailingFactory)
    recipient = factory.Sequence(lambda number: f"reader{number}@example.org")
