"""The business settings of `app/`: the part of the environment that the team grows."""

from pydantic import PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings

from config.env_types import CommaSeparated, RateLimit


class AppEnv(BaseSettings):
    """Settings that `app/` reads; `config.env.Env` adds the platform's."""

    # --- notifications
    WEBHOOK_TIMEOUT_SECONDS: PositiveFloat = 10.0
    WEBHOOK_RATE_LIMIT: RateLimit = "20/second"
    WEBHOOK_RETENTION_DAYS: PositiveInt = 30

    # --- import of test reports
    IMPORT_MAX_MEGABYTES: PositiveInt = 500
    IMPORT_CHUNK_SIZE: PositiveInt = 500

    # --- exports, mailings, analytics
    REPORT_RETENTION_DAYS: PositiveInt = 90
    EXPORT_RETENTION_DAYS: PositiveInt = 7
    MAILING_RETENTION_DAYS: PositiveInt = 90
    ANALYTICS_CACHE_SECONDS: PositiveInt = 300
    DIGEST_RECIPIENTS: CommaSeparated = []
