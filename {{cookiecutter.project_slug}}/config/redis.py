"""Addresses of the Redis databases that the service uses."""

from urllib.parse import quote, urlsplit, urlunsplit

from config.env import Env


def redis_url(env: Env, *, database: int) -> str:
    """Return the address of one Redis database, with the password filled in.

    Args:
        env: the environment; `REDIS_URL` names the server, `REDIS_PASSWORD` is used when
            the address itself carries no password, so that it need not stand in a URL.
        database: Redis' own number of the database, 0 to 15.

    Returns:
        A `redis://` or `rediss://` URL.
    """
    parts = urlsplit(env.REDIS_URL)
    host = parts.netloc
    if env.REDIS_PASSWORD and "@" not in host:
        host = f":{quote(env.REDIS_PASSWORD.get_secret_value(), safe='')}@{host}"
    return urlunsplit((parts.scheme, host, f"/{database}", parts.query, ""))
