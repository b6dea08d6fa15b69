"""Addresses of the Redis databases that the service uses."""

from urllib.parse import urlsplit, urlunsplit

from config.env import Env


def redis_url(env: Env, *, database: int) -> str:
    """Return the address of one Redis database.

    Args:
        env: the environment; `REDIS_URL` names the server.
        database: Redis' own number of the database, 0 to 15.

    Returns:
        A `redis://` or `rediss://` URL.
    """
    return urlunsplit(urlsplit(env.REDIS_URL)._replace(path=f"/{database}"))
