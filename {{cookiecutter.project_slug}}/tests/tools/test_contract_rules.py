"""The rules see through names, and through other ways to write the same.

What each rule finds in its plain form is on its page: `test_contract_examples.py`.
"""

import pytest

from tests.tools.sample_project import TASK, Sample

BILLING = "app/services/billing.py"
TASKS = "app/tasks/billing_tasks.py"


# --- names


@pytest.mark.parametrize(
    ("imported", "decorator"),
    [
        ("from celery import shared_task as job", "job"),
        ("import celery as c", "c.shared_task"),
        ("import celery", "celery.shared_task"),
        ("from config.celery import app", "app.task"),
        ("from ledger.decorator import shared_task as job", "job"),
        ("from app.tasks.utils.jobs import job", "job"),
        ("from ..utils.jobs import job", "job"),
        ("from celery import shared_task\njob = shared_task", "job"),
        (
            "from functools import partial\nfrom celery import shared_task\n"
            "job = partial(shared_task, acks_late=True)",
            "job",
        ),
    ],
)
def test_task_is_recognised_whatever_its_decorator_is_called(
    sample: Sample, imported: str, decorator: str
) -> None:
    sample.write("app/tasks/utils/jobs.py", "from celery import shared_task as job\n")
    folder = "periodic/" if ".." in imported else ""
    path = f"app/tasks/{folder}billing_tasks.py"
    sample.write(path, f"{imported}\n@{decorator}\ndef charge(): ...\n")

    missing = {rule for rule in sample.rules()}

    assert {"acks-late", "task-name", "retry-policy", "time-limits"} < missing


def test_declaration_without_call_declares_nothing(sample: Sample) -> None:
    sample.write(TASKS, "@shared_task\ndef charge(): ...\n")

    problems = [finding.problem for finding, _ in sample.check().findings]

    assert sum(problem.endswith("is missing") for problem in problems) == 12


def test_decorator_of_somebody_else_is_no_task(sample: Sample) -> None:
    sample.write(BILLING, "@remember\n@step.begin\ndef charge(): ...\n")

    assert sample.rules() == []


@pytest.mark.parametrize(
    "errors",
    [
        "Exception",
        "(OSError, Exception)",
        "[Exception]",
        "()",
        "(builtins.BaseException,)",
        "NETWORK.errors + (Exception,)",
        "(*NETWORK.errors, Exception)",
        "EVERYTHING",
        "Anything",
        "OTHER.errors",
    ],
)
def test_error_that_is_too_broad_is_found_under_any_name(
    sample: Sample, errors: str
) -> None:
    sample.replace(TASKS, "autoretry_for=NETWORK.errors", f"autoretry_for={errors}")
    sample.replace(
        TASKS,
        "\n\n@",
        "\nimport builtins\nfrom builtins import Exception as Anything\n"
        "EVERYTHING = (OSError, Exception)\nOTHER = Policy(errors=EVERYTHING)\n\n@",
    )

    assert sample.rules() == ["retry-errors"]


@pytest.mark.parametrize(
    "imported",
    [
        "import httpx",
        "import requests as r",
        "from requests import post as charge",
        "import urllib.request",
        "from urllib import request",
        "from http.client import HTTPSConnection",
        "import importlib\nclient = importlib.import_module('requests')",
    ],
)
def test_client_of_a_network_is_found_under_any_name(
    sample: Sample, imported: str
) -> None:
    sample.write(TASKS, f"{imported}\n{TASK}")

    assert sample.rules() == ["task-network"]


@pytest.mark.parametrize(
    "query",
    [
        "Invoice.objects.filter(pk=1).first()",
        "Invoice._default_manager.count()",
        "invoice.save()",
        "get_object_or_404(Invoice, pk=1)",
        "connection.cursor()",
        "apps.get_model('app', 'Invoice')",
    ],
)
def test_query_is_found_in_any_form_once(sample: Sample, query: str) -> None:
    shortcut = "from django.shortcuts import get_object_or_404\n"
    sample.write(TASKS, f"{shortcut}{TASK}    {query}\n")

    assert sample.rules() == ["task-queries"]


@pytest.mark.parametrize(
    "waiting",
    [
        "charge_invoice.delay(1).get()",
        "charge_invoice.apply_async((1,)).wait()",
        "results = [charge_invoice.delay(n) for n in (1, 2)]\n    [r.get() for r in results]",
        "results = []\n    for n in (1, 2):\n        results.append(charge_invoice.delay(n))\n"
        "    for r in results:\n        r.get()",
        "AsyncResult('id').get()",
        "chord([])(charge_invoice.s()).get()",
    ],
)
def test_waiting_is_found_in_any_form_once(sample: Sample, waiting: str) -> None:
    sample.write(TASKS, f"from celery import chord\n{TASK}    {waiting}\n")

    assert sample.rules() == ["waiting-for-results"]


@pytest.mark.parametrize(
    "use",
    [
        "{}.get(1)",
        "', '.join([])",
        "cache.get(charge_invoice.delay(1).id)",
        "body = {'id': charge_invoice.delay(1).id}\n    body.get('id')",
    ],
)
def test_other_things_may_be_got_and_joined(sample: Sample, use: str) -> None:
    sample.write(TASKS, f"{TASK}    {use}\n")

    assert sample.rules() == []


# --- types of arguments


@pytest.mark.parametrize(
    "annotation",
    [
        "int | None",
        "list[dict[str, float]]",
        "Optional[str]",
        "Literal['net', 'gross']",
        "'int'",
        "Address",
        "InvoiceId",
        "Mapping[str, Sequence[bool]]",
    ],
)
def test_type_that_is_json_is_accepted(sample: Sample, annotation: str) -> None:
    sample.write(
        TASKS,
        "from collections.abc import Mapping, Sequence\n"
        "from typing import Literal, Optional, TypedDict\n"
        "InvoiceId = int\n"
        f"class Address(TypedDict):\n    city: str\n{TASK}".replace(
            "invoice_id: int", f"invoice_id: {annotation}"
        ),
    )

    assert sample.rules() == []


@pytest.mark.parametrize(
    "annotation",
    [
        "datetime",
        "Invoice",
        "Any",
        "tuple[int, str]",
        "set[int]",
        "bytes",
        "list[Invoice]",
    ],
)
def test_type_that_is_no_json_is_found(sample: Sample, annotation: str) -> None:
    sample.replace(TASKS, "invoice_id: int", f"invoice_id: {annotation}")

    assert sample.rules() == ["json-arguments"]


@pytest.mark.parametrize(
    "lines",
    [
        "Json = dict[str, 'Json'] | list['Json'] | str",
        "class Json(Json): ...",
        "Json = Json",
    ],
)
def test_type_that_refers_to_itself_ends(sample: Sample, lines: str) -> None:
    task = TASK.replace("invoice_id: int", "invoice_id: Json")
    sample.write(TASKS, f"{lines}\n{task}")

    assert set(sample.rules()) <= {"json-arguments"}


def test_type_that_is_no_python_is_found(sample: Sample) -> None:
    sample.replace(TASKS, "invoice_id: int", "invoice_id: 'an int'")

    assert sample.rules() == ["json-arguments"]


def test_run_may_have_another_name_than_self(sample: Sample) -> None:
    sample.replace(TASKS, "self: ", "run: ")
    sample.replace(TASKS, "self.", "run.")

    assert sample.rules() == []


# --- errors


def test_errors_that_refer_to_themselves_end(sample: Sample) -> None:
    sample.replace(TASKS, "autoretry_for=NETWORK.errors", "autoretry_for=ERRORS")
    sample.replace(
        TASKS, "\n\n@", "\nERRORS = (OSError,)\nERRORS = ERRORS + (OSError,)\n\n@"
    )

    assert sample.rules() == []


@pytest.mark.parametrize(
    "raises", ["Locked", "billing.Locked", "a lock", "if", "KeyError"]
)
def test_documentation_may_name_errors_in_any_way(sample: Sample, raises: str) -> None:
    service = (
        "class Locked(Exception): ...\n"
        "def charge(invoice_id, *, idempotency_key):\n"
        f'    """Charge.\n\n    Raises:\n        {raises}: a reason.\n    """\n'
    )
    sample.write(BILLING, service)

    assert set(sample.rules()) <= {"unhandled-errors"}


def test_error_is_handled_by_the_class_that_it_descends_from(sample: Sample) -> None:
    sample.write(
        BILLING,
        "class Locked(OSError): ...\n"
        "def charge(invoice_id, *, idempotency_key):\n"
        '    """Charge.\n\n    Raises:\n        Locked: a reason.\n    """\n',
    )
    call = "return billing.charge(invoice_id, idempotency_key=self.idempotency_key)"
    sample.replace(
        TASKS,
        f"    {call}",
        f"    try:\n        {call}\n    except OSError:\n        raise",
    )
    handled = sample.rules()
    sample.replace(TASKS, "except OSError", "except KeyError")

    assert (handled, sample.rules()) == ([], ["unhandled-errors"])


def test_error_of_python_is_retried_by_the_class_that_it_descends_from(
    sample: Sample,
) -> None:
    sample.write(
        BILLING,
        "def charge(invoice_id, *, idempotency_key):\n"
        '    """Charge.\n\n    Raises:\n        ConnectionError: it is away.\n    """\n',
    )
    not_retried = sample.rules()
    sample.replace(TASKS, "autoretry_for=NETWORK.errors", "autoretry_for=(OSError,)")

    assert (not_retried, sample.rules()) == (["unhandled-errors"], [])


# --- what to do about it


def test_missing_limit_is_told_the_one_of_its_queue(sample: Sample) -> None:
    sample.replace(TASKS, "    time_limit=30,\n", "")

    [(finding, _)] = sample.check().findings

    assert finding.mend == "write time_limit=…, in seconds, at most 30 (queue critical)"


def test_unique_key_is_told_to_be_no_answer(sample: Sample) -> None:
    sample.replace(TASKS, ", idempotency_key=self.idempotency_key", "")
    sample.replace(TASKS, "    bind=True,\n", '    bind=True,\n    unique_key="one",\n')

    [(finding, rule)] = sample.check().findings

    assert rule.id == "idempotency"
    assert "unique_key keeps away a second call" in finding.problem
    assert "unique_key" not in finding.mend


@pytest.mark.parametrize(
    "key", ["'x'", "str(invoice_id)", "other.idempotency_key", "KEYS[invoice_id]"]
)
def test_key_that_is_not_the_runs_own_is_found(sample: Sample, key: str) -> None:
    own = "idempotency_key=self.idempotency_key"
    sample.replace(TASKS, own, f"idempotency_key={key}, run={own[16:]}")

    assert sample.rules() == ["handed-on-key"]
