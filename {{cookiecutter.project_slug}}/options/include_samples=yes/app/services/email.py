"""Bulk mail: one message to many recipients, each of whom gets it at most once.

A row is claimed before its message is sent, so that no retry, no second worker and no
crash sends it twice. The price is the row that was claimed when its process died: nobody
knows whether that message went out, so it is shown as uncertain and left to a person.
"""

from collections.abc import Iterable, Iterator, Sequence
from email.utils import parseaddr

from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Count, F
from django.template.loader import render_to_string
from django.utils import timezone

from app.models import MailDelivery, Mailing
from app.services.errors import PermanentError, TransientError
from app.services.progress import Progress, ignore
from app.services.smtp import MailConnection, MailServerUnavailable, Verdict
from config.env import env

State = MailDelivery.State

MAX_ERROR_CHARACTERS = 500

# In characters: 64 before the @ and 255 after it, as in RFC 5321.
MAX_ADDRESS = 320


class InvalidMailing(PermanentError):
    """The message cannot be sent to anyone."""


class MailDeferred(TransientError):
    """The server asked to try some recipients again later."""


def create(
    subject: str, body: str, recipients: Iterable[str], *, key: str | None = None
) -> Mailing:
    """Record a message that is to be sent.

    An address that is listed twice, in whatever case, gets one message. A malformed
    address is recorded as bad and does not hold up the others.

    Args:
        subject: one line.
        body: plain text.
        recipients: their addresses.
        key: names the occasion, such as `welcome:7`; a second mailing with the same key
            is not created, the first one is returned.

    Returns:
        The mailing; nothing is sent yet.

    Raises:
        InvalidMailing: naming the wrong field and what is accepted.
    """
    if len(subject) > 200 or subject.splitlines() != [subject]:
        raise InvalidMailing("subject: expected one line of 1 to 200 characters")
    if key is not None and not 0 < len(key) <= 200:
        raise InvalidMailing("key: expected 1 to 200 characters")
    stripped = [address.strip() for address in recipients]
    addresses = {address[:MAX_ADDRESS].casefold(): address for address in stripped}
    if not addresses:
        raise InvalidMailing("recipients: expected at least one")
    with transaction.atomic():
        if key is None:
            mailing = Mailing.objects.create(subject=subject, body=body)
        else:
            mailing, created = Mailing.objects.get_or_create(
                key=key, defaults={"subject": subject, "body": body}
            )
            if not created:
                return mailing
        MailDelivery.objects.bulk_create(
            [_delivery(mailing, address) for address in addresses.values()],
            batch_size=1000,
        )
    return mailing


def send(
    mailing_id: int, *, on_progress: Progress = ignore, batch_size: int = 50
) -> dict[str, int]:
    """Send the mailing to everybody who has not got it yet, over one connection.

    Args:
        mailing_id: primary key of the mailing.
        on_progress: called after each batch with the settled and all deliveries.
        batch_size: rows that are read at once.

    Returns:
        How many deliveries are in which state, and the `total`.

    Raises:
        MailServerUnavailable: nothing more can be sent now; worth another attempt.
        MailDeferred: all others are settled; worth another attempt for the rest.
    """
    mailing = Mailing.objects.get(pk=mailing_id)
    # A row that is claimed when an attempt begins belongs to one that has died, or to a run
    # beside this one: that settles it all the same.
    mailing.deliveries.filter(state=State.SENDING).update(
        state=State.UNCERTAIN, error="the worker died while sending"
    )
    deferred = 0
    with MailConnection() as connection:
        for batch in _pending_batches(mailing, batch_size):
            for delivery in batch:
                connection.open()
                verdict = _send_once(connection, mailing, delivery)
                deferred += verdict is not None and verdict.state == State.PENDING
                if verdict is not None and not verdict.go_on:
                    raise MailServerUnavailable(verdict.reason)
            states = counts(mailing_id)
            on_progress(_settled(states), states["total"])
    if deferred:
        raise MailDeferred(f"{deferred} recipients of mailing {mailing_id}")
    _finish(mailing)
    return counts(mailing_id)


def give_up(mailing_id: int, reason: str) -> None:
    """Mark what is still pending as failed after the last attempt, with the reason."""
    mailing = Mailing.objects.get(pk=mailing_id)
    mailing.deliveries.filter(state=State.PENDING).update(
        state=State.FAILED,
        error=reason[:MAX_ERROR_CHARACTERS],
        settled_at=timezone.now(),
    )
    _finish(mailing)


def send_uncertain_again(mailing_id: int) -> int:
    """Make the uncertain deliveries pending: for a person who accepts a second copy.

    Returns:
        How many there were; the caller starts the sending.
    """
    with transaction.atomic():
        Mailing.objects.filter(pk=mailing_id).update(finished_at=None)
        return MailDelivery.objects.filter(
            mailing_id=mailing_id, state=State.UNCERTAIN
        ).update(state=State.PENDING, error="", settled_at=None)


def counts(mailing_id: int) -> dict[str, int]:
    """Return how many deliveries are in which state, and the `total`."""
    rows = (
        MailDelivery.objects.filter(mailing_id=mailing_id)
        .values_list("state")
        .annotate(number=Count("pk"))
    )
    found = dict(rows)
    states = {state.value: found.get(state.value, 0) for state in State}
    return states | {"total": sum(states.values())}


def _settled(states: dict[str, int]) -> int:
    return states["total"] - states[State.PENDING] - states[State.SENDING]


def _delivery(mailing: Mailing, address: str) -> MailDelivery:
    try:
        validate_email(address)
    except ValidationError:
        return MailDelivery(
            mailing=mailing,
            recipient=address[:MAX_ADDRESS],
            state=State.BAD_ADDRESS,
            error="not an e-mail address",
            settled_at=timezone.now(),
        )
    return MailDelivery(mailing=mailing, recipient=address)


def _pending_batches(
    mailing: Mailing, batch_size: int
) -> Iterator[Sequence[MailDelivery]]:
    """Yield what is pending, each row once, even if it returns to pending."""
    last = 0
    pending = mailing.deliveries.filter(state=State.PENDING).order_by("pk")
    while batch := list(pending.filter(pk__gt=last)[:batch_size]):
        yield batch
        last = batch[-1].pk


def _send_once(
    connection: MailConnection, mailing: Mailing, delivery: MailDelivery
) -> Verdict | None:
    """Send one message if this process is the one that gets to claim its row."""
    message = _compose(mailing, delivery)
    # The race of two workers for one row ends here: one of the two UPDATEs finds it.
    claimed = MailDelivery.objects.filter(pk=delivery.pk, state=State.PENDING).update(
        state=State.SENDING, attempts=F("attempts") + 1
    )
    if not claimed:
        return None
    try:
        verdict = connection.send(message)
    except BaseException as interruption:  # such as the soft time limit
        reason = f"{type(interruption).__name__} while sending"
        _settle(delivery, Verdict(State.UNCERTAIN, reason))
        raise
    _settle(delivery, verdict)
    return verdict


def _compose(mailing: Mailing, delivery: MailDelivery) -> EmailMultiAlternatives:
    context = {
        "subject": mailing.subject,
        "body": mailing.body,
        "service": env.SERVICE_NAME,
    }
    message = EmailMultiAlternatives(
        subject=mailing.subject,
        body=render_to_string("email/message.txt", context),
        to=[delivery.recipient],
        headers={"Message-ID": f"<{delivery.message_id}@{_sender_domain()}>"},
    )
    message.attach_alternative(
        render_to_string("email/message.html", context), "text/html"
    )
    return message


def _sender_domain() -> str:
    return parseaddr(env.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]


def _settle(delivery: MailDelivery, verdict: Verdict) -> None:
    # Uncertain, too: who sent it knows better than who found the row claimed.
    MailDelivery.objects.filter(
        pk=delivery.pk, state__in=[State.SENDING, State.UNCERTAIN]
    ).update(
        state=verdict.state,
        error=verdict.reason[:MAX_ERROR_CHARACTERS],
        settled_at=None if verdict.state == State.PENDING else timezone.now(),
    )


def _finish(mailing: Mailing) -> None:
    unsettled = [State.PENDING, State.SENDING]
    if not mailing.deliveries.filter(state__in=unsettled).exists():
        Mailing.objects.filter(pk=mailing.pk, finished_at=None).update(
            finished_at=timezone.now()
        )
