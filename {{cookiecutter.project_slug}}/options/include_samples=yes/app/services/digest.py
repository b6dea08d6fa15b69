"""The weekly digest: the flaky tests of a week, mailed once."""

from datetime import date, timedelta

from django.template.loader import render_to_string

from app.models import Mailing
from app.services import analytics, email
from config.env import env


def create(today: date) -> Mailing | None:
    """Write the digest of the week before the one that a day is in.

    Args:
        today: any day of a week, in the service's time zone.

    Returns:
        The mailing, which is the same for all days of a week; None if nobody is to get
        it (`DIGEST_RECIPIENTS`).
    """
    if not env.DIGEST_RECIPIENTS:
        return None
    monday = today - timedelta(days=today.weekday() + 7)
    sunday = monday + timedelta(days=6)
    context = {
        "first": monday,
        "last": sunday,
        "tests": analytics.flaky(monday, sunday),
    }
    return email.create(
        subject=f"Flaky tests from {monday:%d %b} to {sunday:%d %b %Y}",
        body=render_to_string("email/digest.txt", context),
        recipients=env.DIGEST_RECIPIENTS,
        key=f"digest:{monday.isoformat()}",
    )
