"""Types of variables that both `config/env.py` and `config/app_env.py` declare."""

from typing import Annotated

from limits import parse
from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode


def _split_list(value: object) -> object:
    """Turn `a, b` into `["a", "b"]`; anything but text passes through."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


def _readable_rate(value: str) -> str:
    try:
        parse(value)
    except ValueError:
        raise ValueError("expected a rate such as 20/second or 500/hour") from None
    return value


RateLimit = Annotated[str, AfterValidator(_readable_rate)]
CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split_list)]
