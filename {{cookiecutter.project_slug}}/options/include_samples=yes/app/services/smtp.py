"""One connection to the mail server, and what the server's answers mean.

A message counts as sent when the server has taken it, as not sent when the server has
refused it, and as uncertain when the connection broke in between: the server may have
taken it and its answer been lost.
"""

import smtplib
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from django.core.mail import EmailMessage, get_connection

from app.models import MailDelivery
from app.services.errors import TransientError

State = MailDelivery.State


class MailServerUnavailable(TransientError):
    """The mail server takes no messages at the moment."""


@dataclass(frozen=True)
class Verdict:
    """What became of one message.

    Attributes:
        state: that its delivery enters; `PENDING` means refused for now.
        reason: the server's words, or what broke; blank when sent.
        go_on: whether the next message has a chance.
    """

    state: MailDelivery.State
    reason: str = ""
    go_on: bool = True


class MailConnection:
    """A connection that is opened when it is first needed and kept for all messages."""

    def __init__(self) -> None:
        self._backend = get_connection()
        self._accepted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._backend.close()

    def open(self) -> None:
        """Make sure that there is a connection.

        Raises:
            MailServerUnavailable: if the server cannot be reached or refuses the login.
        """
        try:
            self._backend.open()
        except OSError as error:  # all of smtplib's exceptions are OSErrors
            raise MailServerUnavailable(f"{type(error).__name__}: {error}") from error

    def send(self, message: EmailMessage) -> Verdict:
        """Hand one message with one recipient to the server.

        See https://docs.python.org/3/library/smtplib.html#smtplib.SMTP.sendmail for the
        exceptions and the stage of the conversation that each belongs to.
        """
        try:
            self._backend.send_messages([message])
        except smtplib.SMTPRecipientsRefused as error:
            [(code, words)] = error.recipients.values()
            refused = State.BAD_ADDRESS if code >= 500 else State.PENDING
            verdict = Verdict(refused, _quote(code, words))
        except smtplib.SMTPDataError as error:
            refused = State.FAILED if error.smtp_code >= 500 else State.PENDING
            verdict = Verdict(refused, _quote(error.smtp_code, error.smtp_error))
        except (smtplib.SMTPSenderRefused, smtplib.SMTPHeloError) as error:
            # A server that limits the messages per connection says so here; a fresh
            # connection helps, unless this one was fresh.
            verdict = Verdict(
                State.PENDING,
                _quote(error.smtp_code, error.smtp_error),
                go_on=self._accepted > 0,
            )
        except OSError as error:
            reason = f"{type(error).__name__}: {error}"
            verdict = Verdict(State.UNCERTAIN, reason, go_on=False)
        else:
            self._accepted += 1
            return Verdict(State.SENT)
        self._start_afresh()
        return verdict

    def _start_afresh(self) -> None:
        """Close the connection: servers are free to hang up after they refused."""
        self._backend.close()
        self._accepted = 0


def _quote(code: int, words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return f"{code} {text}"
