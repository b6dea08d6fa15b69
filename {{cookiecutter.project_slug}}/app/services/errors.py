"""Errors that services raise on purpose; tasks decide by their type what to do."""


class TransientError(Exception):
    """The same call may succeed later: a network or another service is at fault."""


class PermanentError(Exception):
    """The same call will fail again: its input is at fault."""
