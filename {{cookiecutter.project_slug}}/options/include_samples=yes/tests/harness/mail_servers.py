"""A real SMTP server that refuses, defers and hangs up as a test tells it to.

It speaks the part of https://datatracker.ietf.org/doc/html/rfc5321 that smtplib needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Condition, Event, Thread
from typing import TypedDict


class MailEnvironment(TypedDict):
    """The settings of a process, by variable name."""

    EMAIL_BACKEND: str
    EMAIL_HOST: str
    EMAIL_PORT: str
    EMAIL_USE_TLS: str


@dataclass
class MailServer:
    """What a test sees of the server.

    Attributes:
        port: on the loopback interface.
        received: recipient and message, in the order of arrival.
        sender_answers: answers to the next senders; `250` once they are used up.
        recipient_answers: by recipient, such as `{"a@example.org": "550 unknown"}`.
        message_answers: what a recipient's message is answered with, once it is sent.
        hang_up_on: recipients whose message is taken and never answered.
        messages_per_connection: further senders on a connection get a 421.
        connections: how many there were.
        held: recipients whose message is answered only after `release.set()`.
    """

    port: int = 0
    received: list[tuple[str, Message]] = field(default_factory=list)
    sender_answers: list[str] = field(default_factory=list)
    recipient_answers: dict[str, str] = field(default_factory=dict)
    message_answers: dict[str, str] = field(default_factory=dict)
    hang_up_on: set[str] = field(default_factory=set)
    messages_per_connection: int = 1_000_000
    connections: int = 0
    held: set[str] = field(default_factory=set)
    release: Event = field(default_factory=Event)
    _arrived: Condition = field(default_factory=Condition)

    def messages_by_recipient(self) -> Counter[str]:
        """Return how many messages each recipient got."""
        return Counter(recipient for recipient, _ in self.received)

    def environment(self) -> MailEnvironment:
        """Return the settings with which a process sends its mail here."""
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(self.port),
            "EMAIL_USE_TLS": "false",
        }

    def wait_for(self, count: int, timeout: float = 30) -> None:
        """Wait until so many messages have arrived in all.

        Args:
            count: messages since the start of the server.
            timeout: seconds.

        Raises:
            TimeoutError: saying how many arrived.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.received) >= count, timeout):
                arrived = len(self.received)
                raise TimeoutError(f"{arrived} of {count} messages after {timeout} s")

    def _take(self, recipient: str, content: bytes) -> None:
        with self._arrived:
            self.received.append((recipient, message_from_bytes(content)))
            self._arrived.notify_all()
        if recipient in self.held:
            self.release.wait()


class _Conversation(StreamRequestHandler):
    """One connection; every method returns whether the conversation goes on."""

    mail: MailServer

    def handle(self) -> None:
        self.mail.connections += 1
        self.messages = 0
        self._say("220 ready")
        while line := self.rfile.readline():
            command, _, argument = line.decode().strip().partition(" ")
            if not self._answer(command.upper(), argument):
                return

    def _say(self, answer: str) -> bool:
        self.wfile.write(f"{answer}\r\n".encode())
        return not answer.startswith(("221", "421"))

    def _answer(self, command: str, argument: str) -> bool:
        if command == "QUIT":
            return self._say("221 bye")
        if command == "DATA":
            return self._take_message()
        if command == "RCPT":
            self.recipient = argument.partition("<")[2].partition(">")[0]
            return self._say(self.mail.recipient_answers.get(self.recipient, "250 ok"))
        if command == "MAIL":
            if self.messages >= self.mail.messages_per_connection:
                return self._say("421 too many messages on this connection")
            answers = self.mail.sender_answers
            return self._say(answers.pop(0) if answers else "250 ok")
        return self._say("250 ok")

    def _take_message(self) -> bool:
        self._say("354 go ahead")
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line)
        answer = self.mail.message_answers.get(self.recipient, "250 taken")
        if answer.startswith("250"):
            self.messages += 1
            self.mail._take(self.recipient, b"".join(lines))
        return self.recipient not in self.mail.hang_up_on and self._say(answer)


@contextmanager
def serving_mail() -> Iterator[MailServer]:
    """Run a mail server on a free port of the loopback interface."""
    mail = MailServer()
    handler = type("Conversation", (_Conversation,), {"mail": mail})
    server = ThreadingTCPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    mail.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield mail
    finally:
        mail.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
