"""`python -m tools.make_env`: write `.env` from `.env.example`, with fresh secrets.

An existing `.env` is never touched.
"""

import os
import re
import secrets
from pathlib import Path

SECRETS = (
    "SECRET_KEY",
    "API_TOKEN",
    "DATABASE_PASSWORD",
    "REDIS_PASSWORD",
    "BROKER_PASSWORD",
    "FLOWER_PASSWORD",
)

_BLANK = re.compile(rf"^({'|'.join(SECRETS)})=$", re.MULTILINE)


def filled(example: str) -> str:
    """Return the text of `.env.example` with every blank secret filled at random."""
    # 64 characters of [A-Za-z0-9_-]: nothing that a shell or a URL would need to escape
    return _BLANK.sub(lambda blank: f"{blank[1]}={secrets.token_urlsafe(48)}", example)


def write(root: Path) -> bool:
    """Write `.env`, which only its owner can read, even while it is being written.

    Args:
        root: of the project; holds `.env.example`.

    Returns:
        Whether it was written; an existing file stays as it is.
    """
    text = filled((root / ".env.example").read_text(encoding="utf-8"))
    try:
        descriptor = os.open(root / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


if __name__ == "__main__":
    if write(Path.cwd()):
        print("Wrote .env with fresh secrets; it is yours alone and not committed.")
