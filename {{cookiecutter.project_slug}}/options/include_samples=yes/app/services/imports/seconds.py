"""The durations that test tools write, read as seconds.

The format says "seconds as a decimal number"; the tools write more than that: Maven groups
thousands (`1,234.567`), Java writes exponents (`5.0E-4`), some add a unit (`0.5s`, `12 ms`)
or use a comma for the point, and JavaScript says `NaN` when it has not measured.
"""

import math
import re

SECONDS_PER_UNIT = {"": 1.0, "s": 1.0, "ms": 0.001}

_UNKNOWN = ("", "nan")
_TIME = re.compile(r"([-+]?[\d.,]+(?:e[-+]?\d+)?)\s*(s|ms|)", re.ASCII)
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+\.\d*", re.ASCII)


class InvalidTime(ValueError):
    """The text is not a duration."""


def parse(text: str | None) -> float | None:
    """Read one duration.

    A comma groups thousands only if a point follows, as Maven writes it; alone it is the
    decimal comma of some locales.

    Args:
        text: the attribute `time`, or `None` if the case has none.

    Returns:
        Seconds, zero or more; `None` where the tool says that it does not know.

    Raises:
        InvalidTime: with the text and what is accepted.
    """
    plain = (text or "").strip().lower()
    if plain in _UNKNOWN:
        return None
    match = _TIME.fullmatch(plain)
    if match is None:
        raise InvalidTime(_message(text, "not a number of seconds"))
    number, unit = match.groups()
    grouped = _GROUPED.match(number)
    try:
        seconds = float(number.replace(",", "" if grouped else "."))
    except ValueError:
        raise InvalidTime(_message(text, "not a number of seconds")) from None
    seconds *= SECONDS_PER_UNIT[unit]
    if seconds < 0:
        raise InvalidTime(_message(text, "negative"))
    if not math.isfinite(seconds):
        raise InvalidTime(_message(text, "not a finite number"))
    return seconds


def _message(text: str | None, problem: str) -> str:
    return f"time {text!r}: {problem}; expected seconds, such as 0.25 or 1,234.5"
