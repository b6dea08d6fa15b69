"""The business settings of `app/`: the part of the environment that the team grows."""

from pydantic import PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings

from config.env_types import RateLimit


class AppEnv(BaseSettings):
    """Settings that `app/` reads; `config.env.Env` adds the platform's."""

    # --- notifications
    WEBHOOK_TIMEOUT_SECONDS: PositiveFloat = 10.0
    WEBHOOK_RATE_LIMIT: RateLimit = "20/second"
    WEBHOOK_RETENTION_DAYS: PositiveInt = 30
