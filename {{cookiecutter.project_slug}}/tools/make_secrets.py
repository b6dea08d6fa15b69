"""`python -m tools.make_secrets`: write `secrets/`, what docker-compose.prod.yml reads.

Values of `.env` are taken over, because a database that exists keeps its password, and an
address there is a server of your own; what is blank there is made at random, or the address
of a bundled server. Existing files are never touched.
"""

import re
import secrets
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent

# Which are written, docker-compose.prod.yml says. These hold a password of another file.
ADDRESSES = {
    "redis_url": ("redis_password", "redis://:{}@redis:6379"),
    "broker_url": ("broker_password", "amqp://app:{}@rabbitmq:5672//"),
}

# To a container that is the container itself: an address for `make run`.
THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def write(folder: Path) -> list[str]:
    """Write what is missing.

    The folder is its owner's alone. The files in it can be read, because a container sees
    them with the owner and the rights that they have here:
    https://docs.docker.com/reference/compose-file/services/#secrets

    Returns:
        The names of the files that were written.
    """
    known = _values(folder.parent / ".env")
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    production = (ROOT / "docker-compose.prod.yml").read_text(encoding="utf-8")
    names = re.findall(r"\{file: secrets/(\w+)\}", production)
    written = [name for name in names if not (folder / name).exists()]
    for name in written:
        if name not in ADDRESSES:
            value = known.get(name.upper()) or secrets.token_urlsafe(48)
            _write(folder / name, value)
    for name in ADDRESSES.keys() & {*written}:
        password, bundled = ADDRESSES[name]
        value = (folder / password).read_text(encoding="utf-8").strip()
        own = known.get(name.upper(), "")
        is_own = own and urlsplit(own).hostname not in THIS_MACHINE
        _write(folder / name, own if is_own else bundled.format(value))
    return written


def _values(env: Path) -> dict[str, str]:
    lines = env.read_text(encoding="utf-8").splitlines() if env.exists() else []
    pairs = [line.partition("=") for line in lines if not line.startswith("#")]
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}


def _write(path: Path, text: str) -> None:
    path.write_text(f"{text}\n", encoding="utf-8")
    path.chmod(0o444)


if __name__ == "__main__":
    for name in write(Path("secrets")):
        print(f"Wrote secrets/{name}")
