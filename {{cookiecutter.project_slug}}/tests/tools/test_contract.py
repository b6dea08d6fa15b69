"""The engine of the contract: what it reads, how it reports, and that names do not fool it.

What each rule finds is on its page: `test_contract_examples.py`.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tools.sample_project import FILES, TASK, Sample
from tools.contract.engine import check
from tools.contract.project import Project

ROOT = Path(__file__).resolve().parents[2]

# Written out at once, they would be tags in this file, too.
OPEN, CLOSE = "{" * 2, "}" * 2

BILLING = "app/services/billing.py"
TASKS = "app/tasks/billing_tasks.py"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the command in a folder, as make, hooks and CI do."""
    return subprocess.run(
        [sys.executable, "-B", "-m", "tools.contract", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_sample_keeps_the_contract(sample: Sample) -> None:
    assert sample.messages() == []


def test_this_project_keeps_the_contract_without_exceptions() -> None:
    checked = run(ROOT)

    assert (checked.stderr, checked.returncode) == ("", 0)
    assert checked.stdout.endswith(" files, no findings\n")


def test_whole_project_is_checked_in_less_than_a_second() -> None:
    started = time.process_time()

    check(ROOT)

    assert time.process_time() - started < 1


# --- reports


def test_report_says_what_why_how_to_mend_and_where_to_read_on(sample: Sample) -> None:
    sample.replace(TASKS, "    acks_late=True,\n", "")

    checked = run(sample.root)

    assert checked.returncode == 1
    assert checked.stdout == (
        "app/tasks/billing_tasks.py:7: [acks-late]"
        " task charge_invoice: acks_late is missing\n"
        "    why:  A message that is acknowledged before its task has ended dies with"
        " the worker.\n"
        "    mend: write acks_late=True\n"
        "    docs: docs/rules/acks-late.md\n"
        f"contract: {len(FILES)} files, 1 finding\n"
    )


def test_report_as_json_has_everything(sample: Sample) -> None:
    sample.write(BILLING, "print(1)  # contract: allow no-print (a test)\nprint(2)\n")

    checked = run(sample.root, "--format", "json")

    report = json.loads(checked.stdout)
    assert checked.returncode == 1
    assert (report["files"], report["suppressed"]) == (len(FILES), 1)
    [finding] = report["findings"]
    assert finding["path"] == BILLING
    assert finding["line"] == 2
    assert finding["rule"] == "no-print"
    assert finding["docs"] == "docs/rules/no-print.md"
    assert {"problem", "mend", "why"} < set(finding)


def test_report_for_github_annotates_the_line(sample: Sample) -> None:
    sample.write(BILLING, "RATE = 'https://x.example/100%,'\n")

    annotation, verdict = run(sample.root, "--format", "github").stdout.splitlines()

    place = f"::error file={BILLING},line=1,title=hard-coded::"
    assert annotation.startswith(
        f"{place}'https://x.example/100%25,' is hard-coded%0AWhy:"
    )
    assert verdict == f"contract: {len(FILES)} files, 1 finding"


def test_findings_are_in_the_order_of_files_and_lines(sample: Sample) -> None:
    sample.write(BILLING, "x = 1\nprint(x)\n")
    sample.write("app/api/invoices.py", "print(1)\n" * 11)

    places = [(one.path, one.line) for one, _ in sample.check().findings]

    assert places == [
        *(("app/api/invoices.py", n + 1) for n in range(11)),
        (BILLING, 2),
    ]


@pytest.mark.parametrize(
    "arguments", [("--format", "xml"), ("--fast",), ("no/such/folder",)]
)
def test_wrong_call_ends_with_status_2(
    sample: Sample, arguments: tuple[str, ...]
) -> None:
    checked = run(sample.root, *arguments)

    assert checked.returncode == 2
    assert arguments[-1] in checked.stderr


def test_other_folder_can_be_checked(sample: Sample) -> None:
    assert run(ROOT, str(sample.root)).stdout.startswith(
        f"contract: {len(FILES)} files"
    )


# --- exceptions


def test_exception_with_a_reason_is_counted(sample: Sample) -> None:
    sample.write(BILLING, "print(1)  # contract: allow no-print (a test)\n")

    assert sample.check().findings == []
    assert "no findings, 1 suppressed" in run(sample.root).stdout


def test_exception_holds_for_its_line_and_its_rule_alone(sample: Sample) -> None:
    sample.write(
        BILLING, "print('redis://x')  # contract: allow no-print (a test)\nprint(2)\n"
    )

    assert sample.rules() == ["hard-coded", "no-print"]


def test_exception_for_no_known_rule_is_found(sample: Sample) -> None:
    sample.write(BILLING, "x = 1  # contract: allow no-prints (a test)\n")

    assert sample.messages() == [
        f"{BILLING}:1: [suppression] no rule is called 'no-prints'"
    ]


def test_exception_may_stand_in_other_files(sample: Sample) -> None:
    extra = "OLD_NAME=1  # contract: allow env-declared (for the proxy beside us)\n"
    sample.write(".env.example", FILES[".env.example"] + extra)

    assert (sample.rules(), sample.check().suppressed) == ([], 1)


def test_text_about_exceptions_is_none(sample: Sample) -> None:
    sample.write(BILLING, 'HELP = "# contract: allow no-print (why)"\n')
    sample.write("docs/page.md", "# contract: allow no-print (why)\n")

    assert sample.rules() == []


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


# --- files


@pytest.mark.parametrize(
    "tag", [f"{OPEN} name {CLOSE}", "{" + "% if x %" + "}", "{" + "# note #" + "}"]
)
@pytest.mark.parametrize("path", ["README.md", "app/module.py"])
def test_leftover_template_tag_is_found(sample: Sample, path: str, tag: str) -> None:
    sample.write(path, f'"""\nHello\n{tag}\n"""\n')

    assert sample.messages() == [
        f"{path}:3: [template-tags] template tag {tag!r} is left"
    ]


def test_braces_that_belong_to_others_are_no_template_tags(sample: Sample) -> None:
    sample.write("app/module.py", f'"üüü"; f"{OPEN} {1} {CLOSE}"\n')
    sample.write(".github/workflows/ci.yml", f"run: ${OPEN} matrix.python {CLOSE}\n")
    sample.write("Makefile", f"ps:\n\tdocker ps --format '{OPEN}.Names{CLOSE}'\n")
    sample.write("app/templates/mail.html", f"Hello {OPEN} name {CLOSE}\n")

    assert sample.messages() == []


def test_lock_file_may_be_long(sample: Sample) -> None:
    sample.write("requirements-dev.txt", "celery==5.7.0\n" * 501)

    assert sample.messages() == []


def test_files_that_git_ignores_are_not_checked(sample: Sample) -> None:
    for folder in (".venv", "var", ".git"):
        sample.write(f"{folder}/broken.py", "def\n")
    sample.write(".env", f"{OPEN} name {CLOSE}\n")

    assert sample.messages() == []


def test_ignore_patterns_work_as_in_git(sample: Sample) -> None:
    sample.write(".gitignore", "# comment\n\n*.log\n!keep.log\n/top.txt\nbuild/\n")
    for path in ("a.log", "app/a.log", "app/keep.log", "top.txt", "app/top.txt"):
        sample.write(path, "")
    sample.write("app/build/x.txt", "")

    kept = set(Project(sample.root).files) - set(FILES)

    assert kept == {"app/keep.log", "app/top.txt"}


# --- compose and the environment


@pytest.mark.parametrize(
    "use", ["${WEB_PORT}", "${WEB_PORT:-80}", "$WEB_PORT", "$$$WEB_PORT"]
)
def test_variable_of_compose_that_the_example_lacks_is_found(
    sample: Sample, use: str
) -> None:
    sample.replace("docker-compose.yml", "${PAYMENT_URL}", use)

    assert sample.messages() == [
        "docker-compose.yml:10: [env-documented] WEB_PORT is not in .env.example"
    ]


def test_escaped_dollar_in_compose_is_no_variable(sample: Sample) -> None:
    sample.replace("docker-compose.yml", "${PAYMENT_URL}", "$$HOSTNAME  # $COMMENT")

    assert sample.messages() == []


def test_command_and_grace_may_be_written_in_other_ways(sample: Sample) -> None:
    command = '["python", "manage.py", "worker", "io"]  # the slow network'
    sample.replace("docker-compose.yml", "python manage.py worker io", command)
    sample.replace("docker-compose.yml", "310s", "5m10s")

    assert sample.messages() == []


def test_computed_number_in_the_topology_is_found(sample: Sample) -> None:
    sample.replace("config/queues.py", "soft_time_limit=240", "soft_time_limit=4 * 60")

    assert sample.rules() == ["queue-limits"]


def test_settings_module_may_be_named_in_the_environment(sample: Sample) -> None:
    named = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")'
    sample.write("config/wsgi.py", f"import os\n{named}\n")

    assert sample.messages() == []
