"""`docker compose logs | python -m tools.logs`: what machines log, as people read it.

Containers log JSON, one entry per line. Whatever is none passes through as it is.
"""

import json
import re
import sys
from datetime import datetime
from typing import Any

from structlog.dev import ConsoleRenderer

from config.logs import for_people

# `web-1  | …`, as docker compose begins each line, or `[pod/web-1/service] …`, as Kubernetes.
_PREFIX = re.compile(r"([\w.-]+ +\| |\[\S+\] )(?=\{)")


def readable(line: str, *, colors: bool = False) -> str:
    """Return one line of a log as `LOG_FORMAT=console` would have it, in local time."""
    prefix = found[0] if (found := _PREFIX.match(line)) else ""
    try:
        entry = json.loads(line.removeprefix(prefix))
    except ValueError:
        return line
    if not isinstance(entry, dict) or "event" not in entry:
        return line
    if moment := entry.get("timestamp"):
        entry["timestamp"] = f"{datetime.fromisoformat(moment).astimezone():%H:%M:%S}"
    if isinstance(raised := entry.get("exception"), list):
        entry["exception"] = "\n".join(_traceback(raised))
    renderer = ConsoleRenderer(colors=colors, sort_keys=False, pad_event_to=30)
    return prefix + str(renderer(None, "", for_people(None, "", entry)))


def _traceback(raised: list[dict[str, Any]]) -> list[str]:
    """Return the lines that structlog has turned into objects, the innermost cause last."""
    lines = []
    for exception in raised:
        lines += [
            f'  File "{frame["filename"]}", line {frame["lineno"]}, in {frame["name"]}'
            for frame in exception["frames"]
        ]
        lines.append(f"{exception['exc_type']}: {exception['exc_value']}")
    return lines


def main() -> None:
    """Follow the standard input until it ends, or until Ctrl-C."""
    try:
        for line in sys.stdin:
            print(readable(line.rstrip("\n"), colors=sys.stdout.isatty()), flush=True)
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
