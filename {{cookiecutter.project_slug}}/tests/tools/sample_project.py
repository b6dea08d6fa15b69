"""The smallest project that keeps the contract, on disk, for tests to spoil."""

from pathlib import Path

from tools.contract.engine import Report, check

QUEUES = """\
POOLS_THAT_ENFORCE_TIME_LIMITS = ("prefork",)

QUEUES = (
    Queue(
        name="critical",
        pool="prefork",
        soft_time_limit=25,
        time_limit=30,
        shutdown_grace=40,
    ),
    Queue(
        name="io",
        pool="prefork",
        soft_time_limit=240,
        time_limit=300,
        shutdown_grace=310,
    ),
)
"""

COMPOSE = """\
services:
  worker-critical:
    command: python manage.py worker critical
    stop_grace_period: 40s

  worker-io:
    command: python manage.py worker io
    stop_grace_period: 310s
    environment:
      PAYMENT_URL: ${PAYMENT_URL}

volumes:
  data:
"""

TASK = """\
from app.services import billing
from app.tasks.utils.retry_policies import NETWORK
from ledger.decorator import shared_task
from ledger.task import DurableTask


@shared_task(
    bind=True,
    name="app.tasks.billing_tasks.charge_invoice",
    queue="critical",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=NETWORK.errors,
    max_retries=NETWORK.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=20,
    time_limit=30,
)
def charge_invoice(self: DurableTask[[int], str], invoice_id: int) -> str:
    return billing.charge(invoice_id, idempotency_key=self.idempotency_key)
"""

SERVICE = """\
from config.env import env


def charge(invoice_id: int, *, idempotency_key: str) -> str:
    return f"{env.PAYMENT_URL}/{invoice_id}/{idempotency_key}"
"""

POLICIES = """\
from django.db import OperationalError

from app.services.errors import TransientError

NETWORK = RetryPolicy(errors=(TransientError, OperationalError), max_retries=12)
DATABASE = RetryPolicy(errors=(OperationalError,), max_retries=5)
"""

REMIND = (
    TASK.replace("billing_tasks.charge_invoice", "periodic.daily_tasks.remind")
    .replace("charge_invoice", "remind")
    .replace("billing.charge", "billing.remind")
)

SCHEDULE = """\
SCHEDULE = {
    "daily: remind of open invoices": {
        "task": "app.tasks.periodic.daily_tasks.remind",
        "schedule": crontab(hour="6", minute="0"),
    },
}
"""

ENV = """\
class Env(AppEnv):
    model_config = {}

    LOG_LEVEL: str
    BROKER_VISIBILITY_TIMEOUT_SECONDS: int = 3600
"""

APP_ENV = """\
class AppEnv(BaseSettings):
    PAYMENT_URL: str
    PAYMENT_TIMEOUT_SECONDS: float = 10
"""

EXAMPLE = """\
# Where invoices are paid.
PAYMENT_URL=https://pay.example.com
PAYMENT_TIMEOUT_SECONDS=10
LOG_LEVEL=INFO
BROKER_VISIBILITY_TIMEOUT_SECONDS=3600
"""

SETTINGS = """\
from config.env import env

LOGGING = logging_config(env.LOG_LEVEL)
VISIBILITY = env.BROKER_VISIBILITY_TIMEOUT_SECONDS
TIMEOUT = env.PAYMENT_TIMEOUT_SECONDS
"""

ERRORS = """\
class TransientError(Exception):
    pass


class PermanentError(Exception):
    pass
"""

FILES = {
    ".env.example": EXAMPLE,
    ".gitignore": ".venv/\n.env\nvar/\n",
    "app/services/billing.py": SERVICE,
    "app/services/errors.py": ERRORS,
    "app/tasks/billing_tasks.py": TASK,
    "app/tasks/periodic/daily_tasks.py": REMIND,
    "app/tasks/utils/retry_policies.py": POLICIES,
    "config/app_env.py": APP_ENV,
    "config/env.py": ENV,
    "config/queues.py": QUEUES,
    "config/schedule.py": SCHEDULE,
    "config/settings.py": SETTINGS,
    "docker-compose.yml": COMPOSE,
    "ledger/decorator.py": "from celery import shared_task\n",
    "tests/app/tasks/periodic/test_daily_tasks.py": "",
    "tests/app/tasks/test_billing_tasks.py": "",
}


class Sample:
    """That project, in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path, text in FILES.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> None:
        """Write a file, over the one that is there."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        """Change a file in one place that it must have."""
        text = (self.root / path).read_text(encoding="utf-8")
        assert old in text
        self.write(path, text.replace(old, new, 1))

    def check(self) -> Report:
        """Run the contract over it."""
        return check(self.root)

    def rules(self) -> list[str]:
        """Return the ids of the rules that it breaks."""
        return [rule.id for _, rule in self.check().findings]

    def messages(self) -> list[str]:
        """Return what is wrong, as `path:line: [rule] problem`."""
        return [
            f"{finding.path}:{finding.line}: [{rule.id}] {finding.problem}"
            for finding, rule in self.check().findings
        ]
