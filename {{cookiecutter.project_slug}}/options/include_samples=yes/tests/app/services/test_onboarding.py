"""Preferences and the welcome mail of new users."""

import pytest

from app.models import UserPreferences
from app.services import onboarding
from config.env import env
from tests.factories.onboarding import UserFactory
from tests.harness.mail_servers import MailServer

pytestmark = pytest.mark.django_db


def test_defaults_are_the_same_for_everybody() -> None:
    user = UserFactory.create()

    preferences = onboarding.set_up_defaults(user.pk)

    assert (preferences.user, preferences.time_zone) == (user, env.TIME_ZONE)
    assert preferences.receives_digest


def test_preferences_that_are_there_stay_as_they_are() -> None:
    user = UserFactory.create()
    UserPreferences.objects.create(user=user, time_zone="Asia/Tokyo")

    onboarding.set_up_defaults(user.pk)

    assert UserPreferences.objects.get(user=user).time_zone == "Asia/Tokyo"


def test_user_who_does_not_exist_is_refused() -> None:
    with pytest.raises(onboarding.NotReady, match="does not exist"):
        onboarding.set_up_defaults(404)


def test_user_is_welcomed_once_for_ever(mail_server: MailServer) -> None:
    user = UserFactory.create(first_name="Ada")
    onboarding.set_up_defaults(user.pk)

    onboarding.welcome(user.pk)
    onboarding.welcome(user.pk)

    [(recipient, message)] = mail_server.received
    assert recipient == user.email
    assert "Hello Ada," in message.as_string()


def test_user_without_preferences_is_not_welcomed(mail_server: MailServer) -> None:
    user = UserFactory.create()

    with pytest.raises(onboarding.NotReady, match="no preferences"):
        onboarding.welcome(user.pk)

    assert mail_server.received == []


def test_user_without_an_address_is_not_welcomed() -> None:
    user = UserFactory.create(email="")
    onboarding.set_up_defaults(user.pk)

    with pytest.raises(onboarding.NotReady, match="no e-mail address"):
        onboarding.welcome(user.pk)
