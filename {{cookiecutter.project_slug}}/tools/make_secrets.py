"""`python -m tools.make_secrets`: write `secrets/`, what docker-compose.prod.yml reads.

Existing files are never touched.
"""

import re
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Which are written, docker-compose.prod.yml says; this one holds another's value.
REDIS_URL = "redis_url"


def write(folder: Path) -> list[str]:
    """Write what is missing.

    The folder is its owner's alone. The files in it can be read, because a container sees
    them with the owner and the rights that they have here:
    https://docs.docker.com/reference/compose-file/services/#secrets

    Returns:
        The names of the files that were written.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    production = (ROOT / "docker-compose.prod.yml").read_text(encoding="utf-8")
    names = re.findall(r"\{file: secrets/(\w+)\}", production)
    written = [name for name in names if not (folder / name).exists()]
    for name in written:
        if name != REDIS_URL:
            _write(folder / name, secrets.token_urlsafe(36))
    if REDIS_URL in written:
        password = (folder / "redis_password").read_text(encoding="utf-8").strip()
        _write(folder / REDIS_URL, f"redis://:{password}@redis:6379")
    return written


def _write(path: Path, text: str) -> None:
    path.write_text(f"{text}\n", encoding="utf-8")
    path.chmod(0o444)


if __name__ == "__main__":
    for name in write(Path("secrets")):
        print(f"Wrote secrets/{name}")
