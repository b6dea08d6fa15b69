"""`python -m tools.make_secrets`: write `secrets/`, what docker-compose.prod.yml reads.

Existing files are never touched.
"""

import secrets
from pathlib import Path

NAMES = ("secret_key", "api_token", "database_password", "redis_password")


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
    written = [name for name in NAMES if not (folder / name).exists()]
    for name in written:
        _write(folder / name, secrets.token_urlsafe(36))
    url = folder / "redis_url"
    if not url.exists():
        password = (folder / "redis_password").read_text(encoding="utf-8").strip()
        _write(url, f"redis://:{password}@redis:6379")
        written.append(url.name)
    return written


def _write(path: Path, text: str) -> None:
    path.write_text(f"{text}\n", encoding="utf-8")
    path.chmod(0o444)


if __name__ == "__main__":
    for name in write(Path("secrets")):
        print(f"Wrote secrets/{name}")
