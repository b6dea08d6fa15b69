"""Factories of the notification domain."""

import factory
from factory.django import DjangoModelFactory

from app.models import WebhookDelivery


class WebhookDeliveryFactory(DjangoModelFactory[WebhookDelivery]):
    """A pending delivery."""

    class Meta:
        model = WebhookDelivery

    url = "https://receiver.example/hook"
    event = factory.Sequence(lambda number: f"thing.happened.{number}")
    payload = factory.LazyFunction(lambda: {"answer": 42})
