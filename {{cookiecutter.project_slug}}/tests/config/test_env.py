"""The environment: what is accepted, and what is said about the rest."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env as environment


def load_with(monkeypatch: pytest.MonkeyPatch, **variables: str) -> environment.Env:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return environment.load()


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("WEB_PORT", "eighty", "valid integer"),
        ("WEB_PORT", "0", "greater than 0"),
        ("REDIS_URL", "localhost:6379", "starts with redis://"),
        ("REDIS_URL", "redis://localhost:6379/3", "without a database"),
        ("BROKER_URL", "localhost:5672", "starts with amqp://"),
        ("DATABASE_URL", "localhost/app", "starts with postgres://"),
        ("WEBHOOK_RATE_LIMIT", "fast", "such as 20/second"),
        ("EMAIL_BACKEND", "nope", "can be imported"),
        ("EMAIL_BACKEND", "no.such.Backend", "can be imported"),
        ("DEBUG", "perhaps", "valid boolean"),
        ("LOG_LEVEL", "LOUD", "'INFO'"),
        ("TIME_ZONE", "Mars/Olympus", "Europe/Berlin"),
        ("SECRET_KEY", "short", "at least 32 characters"),
        ("WORKER_CONCURRENCY", "warp=9", "config/queues.py has: critical"),
        ("WORKER_CONCURRENCY", "io=many", "valid integer"),
        ("WORKER_CONCURRENCY", "io=0", "greater than 0"),
        ("WORKER_SHUTDOWN_GRACE", "warp=30", "config/queues.py has: critical"),
        ("BROKER_VISIBILITY_TIMEOUT_SECONDS", "60", "longest hard time limit"),
        ("LEDGER_KEEP_SECONDS", "60", "LEDGER_CATCH_UP_SECONDS (3600 s)"),
        ("LEDGER_KEEP_FAILED_SECONDS", "60", "LEDGER_CATCH_UP_SECONDS (3600 s)"),
    ],
)
def test_malformed_value_is_refused_by_name_and_says_what_is_accepted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, accepted: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        load_with(monkeypatch, **{name: value})

    assert name in str(refused.value)
    assert accepted in str(refused.value)


def test_missing_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_TOKEN")

    with pytest.raises(ImproperlyConfigured, match="API_TOKEN: is missing"):
        environment.load()


def test_error_never_repeats_a_value_because_it_may_be_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        load_with(monkeypatch, SECRET_KEY="hunter2")

    assert "hunter2" not in str(refused.value)


def test_unknown_name_in_the_env_file_is_refused_by_name(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("WEB_PROT=8000\n")

    with pytest.raises(
        ImproperlyConfigured, match=r"WEB_PROT: not a known .*WEB_PORT\?"
    ):
        environment.load(_env_file=env_file)


def test_blank_value_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_with(monkeypatch, WEB_PORT="").WEB_PORT == 8000


def test_lists_and_concurrency_are_read_from_plain_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    env = load_with(
        monkeypatch, ALLOWED_HOSTS="a.example, b.example", WORKER_CONCURRENCY="io=16"
    )

    assert env.ALLOWED_HOSTS == ["a.example", "b.example"]
    assert env.WORKER_CONCURRENCY == {"io": 16}


def test_secret_is_read_from_a_file_which_wins_over_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret_key"
    secret.write_text("from a file " + "0" * 32 + "\n")

    loaded = load_with(monkeypatch, SECRET_KEY_FILE=str(secret), SECRET_KEY="x" * 32)

    assert loaded.SECRET_KEY.get_secret_value() == "from a file " + "0" * 32


def test_secret_file_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"

    with pytest.raises(
        ImproperlyConfigured, match=f"SECRET_KEY_FILE: cannot read {missing}"
    ):
        load_with(monkeypatch, SECRET_KEY_FILE=str(missing))


def test_every_secret_can_be_given_as_a_file() -> None:
    secret = {
        name
        for name, field in environment.Env.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }

    only_of_servers = {"REDIS_PASSWORD", "FLOWER_PASSWORD", "BROKER_PASSWORD"}
    assert secret - only_of_servers <= set(environment.FROM_FILES)
