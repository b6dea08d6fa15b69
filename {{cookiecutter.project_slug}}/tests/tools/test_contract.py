"""The engine of the contract: what it reads, what it reports, and what may be excepted.

What each rule finds is on its page: `test_contract_examples.py`.
"""

import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools.sample_project import FILES, Sample
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


def test_whole_project_is_checked_in_a_few_times_of_what_reading_it_takes() -> None:
    def read() -> None:
        project = Project(ROOT)
        for path in project.python_files:
            project.tree(path)

    # 2.5 times, 0.7 s of processor for the samples; seconds depend on the machine.
    assert cpu_seconds(lambda: check(ROOT)) < 5 * cpu_seconds(read)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the least of three measurements, garbage left alone as by the command."""
    measured = []
    gc.disable()
    try:
        for _ in range(3):
            started = time.process_time()
            work()
            measured.append(time.process_time() - started)
    finally:
        gc.enable()
    return min(measured)


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
    assert report["files"] == len(FILES)
    assert report["suppressed"] == [
        {"path": BILLING, "line": 1, "rule": "no-print", "reason": "a test"}
    ]
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


def test_exception_without_a_reason_is_a_finding_and_not_counted(
    sample: Sample,
) -> None:
    sample.write(BILLING, "print(1)  # contract: allow no-print\n")

    assert sample.messages() == [
        f"{BILLING}:1: [suppression] no-print is allowed without a reason"
    ]
    assert sample.check().suppressed == []


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

    assert (sample.rules(), len(sample.check().suppressed)) == ([], 1)


def test_text_about_exceptions_is_none(sample: Sample) -> None:
    sample.write(BILLING, 'HELP = "# contract: allow no-print (why)"\n')
    sample.write("docs/page.md", "# contract: allow no-print (why)\n")

    assert sample.rules() == []


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
