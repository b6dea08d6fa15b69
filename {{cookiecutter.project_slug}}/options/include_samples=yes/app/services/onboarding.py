"""What a new user gets: preferences to start with, then one welcome mail."""

from django.contrib.auth.models import User
from django.template.loader import render_to_string

from app.models import UserPreferences
from app.services import email
from app.services.errors import PermanentError
from config.env import env


class NotReady(PermanentError):
    """The user cannot be welcomed: a preceding step or a detail is missing."""


def set_up_defaults(user_id: int) -> UserPreferences:
    """Give a user the preferences that everybody starts with.

    Preferences that are there already stay as they are.

    Raises:
        NotReady: if there is no such user.
    """
    if not User.objects.filter(pk=user_id).exists():
        raise NotReady(f"user {user_id}: does not exist")
    preferences, _ = UserPreferences.objects.get_or_create(
        user_id=user_id, defaults={"time_zone": env.TIME_ZONE}
    )
    return preferences


def welcome(user_id: int) -> dict[str, int]:
    """Mail a user the welcome, once for ever.

    Args:
        user_id: primary key of a user whose defaults are set up.

    Returns:
        How many deliveries are in which state, as `email.send` does.

    Raises:
        NotReady: if the user has no preferences yet or no address.
        TransientError: the mail server is away; worth another attempt.
    """
    return email.send(_welcome_mailing(user_id))


def give_up_welcome(user_id: int, reason: str) -> None:
    """Mark the welcome as failed after its last attempt; it keeps the reason."""
    email.give_up(_welcome_mailing(user_id), reason=reason)


def _welcome_mailing(user_id: int) -> int:
    preferences = (
        UserPreferences.objects.select_related("user").filter(user_id=user_id).first()
    )
    if preferences is None:
        raise NotReady(f"user {user_id}: has no preferences yet")
    if not preferences.user.email:
        raise NotReady(f"user {user_id}: has no e-mail address")
    context = {"user": preferences.user, "preferences": preferences}
    # The key makes it once per user; the mailing's rows make it once per recipient.
    return email.create(
        subject=f"Welcome to {env.SERVICE_NAME}",
        body=render_to_string("email/welcome.txt", context),
        recipients=[preferences.user.email],
        key=f"welcome:{user_id}",
    ).pk
