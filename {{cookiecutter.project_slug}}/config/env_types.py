"""Types of variables that both `config/env.py` and `config/app_env.py` declare."""

from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode


def _split_list(value: object) -> object:
    """Turn `a, b` into `["a", "b"]`; anything but text passes through."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()]
    return value


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_split_list)]
