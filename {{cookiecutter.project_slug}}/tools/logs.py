"""`docker compose logs | python3 -m tools.logs`: what machines log, as people read it.

Containers log JSON, one entry per line. Whatever is none passes through as it is. By
whatever Python 3 there is: nobody wants to install anything in the middle of an outage.
"""

import json
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

# `web-1  | …`, as docker compose begins each line, after a code that clears the line; or
# `[pod/web-5d/service] …`.
_PREFIX = re.compile(r"(?:\x1b\[2K)?([\w.-]+ +\| |\[pod/[^]]+\] )(?=\{)")

# What only machines want to know; see `for_people` in config/logs.py.
HIDDEN = ("root_id", "parent_id", "request_id", "arguments", "keywords", "logger")

_COLOURS = {"warning": "33", "error": "31", "critical": "31;1"}


def readable(line: str, *, colours: bool = False) -> str:
    """Return one line of a log in local time, without what only machines want to know."""
    found = _PREFIX.match(line)
    prefix, rest = (found[1], line[found.end() :]) if found else ("", line)
    try:
        entry = json.loads(rest)
    except ValueError:
        return line
    if not isinstance(entry, dict) or "event" not in entry:
        return line
    return prefix + "\n".join(_lines(entry, colours=colours))


def _lines(entry: dict[str, Any], *, colours: bool) -> Iterator[str]:
    for key in HIDDEN:
        entry.pop(key, None)
    moment, level = entry.pop("timestamp", ""), entry.pop("level", "")
    if moment:
        utc = datetime.fromisoformat(moment.replace("Z", "+00:00"))
        moment = f"{utc.astimezone():%H:%M:%S} "
    event, task = str(entry.pop("event")), entry.pop("task", "")
    if task:
        event += f": {task.rpartition('.')[2]}"
    raised = entry.pop("exception", [])
    if colours and level in _COLOURS:
        event = f"\x1b[{_COLOURS[level]}m{event}\x1b[0m"
    rest = " ".join(f"{key}={value}" for key, value in entry.items())
    yield f"{moment}{level:<8} {event:<40} {rest}".rstrip()
    if isinstance(raised, list):
        yield from _traceback(raised)
    else:
        yield str(raised)


def _traceback(raised: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines that structlog has turned into objects, the innermost cause last."""
    for exception in raised:
        for frame in exception["frames"]:
            place = f'"{frame["filename"]}", line {frame["lineno"]}'
            yield f"  File {place}, in {frame['name']}"
        yield f"{exception['exc_type']}: {exception['exc_value']}"


def main() -> None:
    """Follow the standard input until it ends, or until Ctrl-C."""
    try:
        for line in sys.stdin:
            print(readable(line.rstrip("\n"), colours=sys.stdout.isatty()), flush=True)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
