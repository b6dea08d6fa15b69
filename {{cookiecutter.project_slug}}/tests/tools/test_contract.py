"""The contract: each rule finds what breaks it, and this project breaks none.

Every test writes the smallest project that keeps the contract, spoils one thing in it, and
expects just the finding for that.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.contract.finding import Finding
from tools.contract.project import Project
from tools.contract.rules import RULES

ROOT = Path(__file__).resolve().parents[2]

# Written out at once, they would be tags in this file, too.
OPEN, CLOSE = "{" * 2, "}" * 2

QUEUES = """\
QUEUES = (
    Queue(name="io", soft_time_limit=240, time_limit=300, shutdown_grace=310),
)
"""

TASKS = '''\
@shared_task(
    bind=True,
    name="app.tasks.mail_tasks.send",
    queue="io",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=NETWORK.errors,
    max_retries=NETWORK.max_retries,
    retry_backoff=True,
    retry_backoff_max=600,
    retry_jitter=True,
    soft_time_limit=30,
    time_limit=40,
)
def send(self, pk):
    """Send a mail."""
'''

COMPOSE = """\
services:
  worker-io:
    command: python manage.py worker io
    stop_grace_period: 310s
    environment:
      MAIL_HOST: ${MAIL_HOST}

volumes:
  data:
"""

FILES = {
    ".env.example": "# The mail server\nMAIL_HOST=localhost\nLOG_LEVEL=INFO\n",
    ".gitignore": ".venv/\n.env\nvar/\n",
    "config/env.py": "class Env(AppEnv):\n    model_config = {}\n    LOG_LEVEL: str\n",
    "config/app_env.py": "class AppEnv:\n    MAIL_HOST: str\n",
    "config/queues.py": QUEUES,
    "docker-compose.yml": COMPOSE,
    "app/tasks/mail_tasks.py": TASKS,
    "tests/app/tasks/test_mail_tasks.py": "def test_it():\n    send.apply(args=[1])\n",
}


class Sample:
    """A small project on disk that keeps the contract until a test spoils it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path, text in FILES.items():
            self.write(path, text)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text(encoding="utf-8")
        assert old in text
        self.write(path, text.replace(old, new))

    def findings(self) -> list[Finding]:
        project = Project(self.root)
        return sorted(finding for rule in RULES for finding in rule(project))

    def messages(self) -> list[str]:
        return [str(finding) for finding in self.findings()]


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path)


def test_sample_keeps_the_contract(sample: Sample) -> None:
    assert sample.messages() == []


def test_this_project_keeps_the_contract() -> None:
    command = [sys.executable, "-m", "tools.contract"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert (checked.stderr, checked.returncode) == ("", 0)
    assert checked.stdout.endswith("files, no findings\n")


def test_findings_are_printed_and_the_exit_status_is_one(sample: Sample) -> None:
    sample.write("app/broken.py", "def\n")
    command = [sys.executable, "-m", "tools.contract"]
    checked = subprocess.run(
        command,
        cwd=sample.root,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )

    assert checked.returncode == 1
    assert checked.stderr == "app/broken.py:1: not valid Python: invalid syntax\n"
    assert checked.stdout == "contract: 9 files, 1 finding\n"


# --- files


@pytest.mark.parametrize(
    "tag", [f"{OPEN} name {CLOSE}", "{" + "% if x %" + "}", "{" + "# note #" + "}"]
)
@pytest.mark.parametrize("path", ["README.md", "app/module.py"])
def test_leftover_template_tag_is_found(sample: Sample, path: str, tag: str) -> None:
    sample.write(path, f'"""\nHello\n{tag}\n"""\n')

    assert sample.messages() == [
        f"{path}:3: template tag {tag!r} is left; write what it stands for"
    ]


def test_braces_that_belong_to_others_are_no_template_tags(sample: Sample) -> None:
    sample.write("app/module.py", f'"üüü"; f"{OPEN} {1} {CLOSE}"\n')
    sample.write(".github/workflows/ci.yml", f"run: ${OPEN} matrix.python {CLOSE}\n")
    sample.write("Makefile", f"ps:\n\tdocker ps --format '{OPEN}.Names{CLOSE}'\n")
    sample.write("app/templates/mail.html", f"Hello {OPEN} name {CLOSE}\n")

    assert sample.messages() == []


def test_file_over_500_lines_is_found(sample: Sample) -> None:
    sample.write("app/long.py", "x = 1\n" * 501)
    sample.write("app/longest.py", "x = 1\n" * 500)
    sample.write("requirements-dev.txt", "celery==5.7.0\n" * 501)

    assert sample.messages() == [
        "app/long.py:501: 501 lines, at most 500 are accepted; split the file"
    ]


def test_python_file_that_does_not_parse_is_found(sample: Sample) -> None:
    sample.write("app/broken.py", "x = 1\nif x\n")

    assert sample.messages() == ["app/broken.py:2: not valid Python: expected ':'"]


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


# --- the environment


def test_setting_that_the_example_lacks_is_found(sample: Sample) -> None:
    sample.replace("config/app_env.py", "MAIL_HOST: str", "MAIL_PORT: int")
    sample.replace(".env.example", "MAIL_HOST=localhost", "#")
    sample.replace("docker-compose.yml", "${MAIL_HOST}", "localhost")

    assert sample.messages() == [
        "config/app_env.py:2: MAIL_PORT is missing in .env.example; document it there"
    ]


def test_example_that_no_setting_declares_is_found(sample: Sample) -> None:
    sample.replace(".env.example", "LOG_LEVEL=INFO", "LOG_LEVEL=INFO\nMAIL_PORT=25")

    assert sample.messages() == [
        ".env.example:4: MAIL_PORT is not declared in config/env.py or"
        " config/app_env.py; declare or drop it"
    ]


def test_example_that_stands_twice_is_found(sample: Sample) -> None:
    sample.replace(".env.example", "LOG_LEVEL=INFO", "LOG_LEVEL=INFO\nLOG_LEVEL=DEBUG")

    assert sample.messages() == [
        ".env.example:4: LOG_LEVEL stands above already; drop one of them"
    ]


@pytest.mark.parametrize(
    "use", ["${WEB_PORT}", "${WEB_PORT:-80}", "$WEB_PORT", "$$$WEB_PORT"]
)
def test_variable_of_compose_that_the_example_lacks_is_found(
    sample: Sample, use: str
) -> None:
    sample.replace("docker-compose.yml", "${MAIL_HOST}", use)

    assert sample.messages() == [
        "docker-compose.yml:6: WEB_PORT is missing in .env.example; document it there"
    ]


def test_escaped_dollar_in_compose_is_no_variable(sample: Sample) -> None:
    sample.replace("docker-compose.yml", "${MAIL_HOST}", "$$HOSTNAME  # $COMMENT")

    assert sample.messages() == []


# --- queues and workers


def test_queue_without_worker_is_found(sample: Sample) -> None:
    sample.replace("docker-compose.yml", "manage.py worker io", "manage.py beat")

    assert sample.messages() == [
        "config/queues.py:2: queue 'io': no service of docker-compose.yml has"
        " `command: python manage.py worker io`; add one"
    ]


def test_worker_of_an_unknown_queue_is_found(sample: Sample) -> None:
    sample.replace("docker-compose.yml", "worker io", "worker io warp")

    assert sample.messages() == [
        "docker-compose.yml:2: worker-io serves 'warp', which config/queues.py lacks;"
        " declare it there"
    ]


@pytest.mark.parametrize("grace", ["stop_grace_period: 300s", "restart: always"])
def test_worker_with_another_grace_than_its_queue_is_found(
    sample: Sample, grace: str
) -> None:
    sample.replace("docker-compose.yml", "stop_grace_period: 310s", grace)

    assert sample.messages() == [
        "docker-compose.yml:2: worker-io needs `stop_grace_period: 310s`,"
        " its queue's shutdown_grace"
    ]


def test_command_and_grace_may_be_written_in_other_ways(sample: Sample) -> None:
    command = '["python", "manage.py", "worker", "io"]  # the slow network'
    sample.replace("docker-compose.yml", "python manage.py worker io", command)
    sample.replace("docker-compose.yml", "310s", "5m10s")

    assert sample.messages() == []


def test_computed_number_in_the_topology_is_found(sample: Sample) -> None:
    sample.replace("config/queues.py", "soft_time_limit=240", "soft_time_limit=4 * 60")

    assert (
        "config/queues.py:2: queue 'io': soft_time_limit must be a plain number of seconds"
        in sample.messages()
    )


# --- tasks


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bind=True", "bind=1", "write bind=True"),
        ("    acks_late=True,\n", "", "write acks_late=True"),
        ("lost=True", "lost=False", "write reject_on_worker_lost=True"),
        ("    retry_backoff=True,\n", "", "write retry_backoff=True"),
        ("max=600", "max=60", "write retry_backoff_max=600"),
        ("    retry_jitter=True,\n", "", "write retry_jitter=True"),
        (
            "    max_retries=NETWORK.max_retries,\n",
            "",
            "write max_retries=…; no default is right for every task",
        ),
        (
            '    queue="io",\n',
            "",
            "write queue=…; no default is right for every task",
        ),
        (
            "mail_tasks.send",
            "mail.send",
            'write name="app.tasks.mail_tasks.send", which its callers can rely on',
        ),
        (
            "NETWORK.max_retries",
            "None",
            "max_retries=None retries for ever; write a number",
        ),
        (
            "NETWORK.errors",
            "(OSError, Exception)",
            "autoretry_for needs the specific errors that another attempt may mend",
        ),
        (
            "NETWORK.errors",
            "()",
            "autoretry_for needs the specific errors that another attempt may mend",
        ),
        (
            "    bind=True,\n",
            "    bind=True,\n    **COMMON,\n",
            "spell its options out; `**` hides them",
        ),
        (
            'queue="io"',
            'queue="warp"',
            "queue 'warp' is not in config/queues.py; take one of io",
        ),
        (
            "soft_time_limit=30",
            "soft_time_limit=40",
            "expected 0 < soft_time_limit < time_limit",
        ),
        (
            "time_limit=40",
            "time_limit=301",
            "time_limit=301 exceeds the 300 s of queue 'io'; "
            "lower it or take a slower queue",
        ),
        (
            "limit=30,\n    time_limit=40",
            "limit=241,\n    time_limit=300",
            "soft_time_limit=241 exceeds the 240 s of queue 'io'; "
            "lower it or take a slower queue",
        ),
        (
            "soft_time_limit=30",
            "soft_time_limit=SECONDS",
            "soft_time_limit must be a plain number of seconds",
        ),
    ],
)
def test_task_that_breaks_the_contract_is_found(
    sample: Sample, old: str, new: str, message: str
) -> None:
    sample.replace("app/tasks/mail_tasks.py", old, new)

    assert sample.messages() == [f"app/tasks/mail_tasks.py:1: task send: {message}"]


@pytest.mark.parametrize("decorator", ["@shared_task", "@app.task"])
def test_bare_decorator_declares_nothing(sample: Sample, decorator: str) -> None:
    sample.write("app/tasks/mail_tasks.py", f"{decorator}\ndef send(): ...\n")

    missing = [message.partition("write ")[2] for message in sample.messages()]

    assert len(missing) == 12 and all(missing)


def test_task_module_without_test_module_is_found(sample: Sample) -> None:
    (sample.root / "tests/app/tasks/test_mail_tasks.py").unlink()

    assert sample.messages() == [
        "app/tasks/mail_tasks.py:1: has tasks but no"
        " tests/app/tasks/test_mail_tasks.py; write it"
    ]


def test_task_that_no_test_names_is_found(sample: Sample) -> None:
    sample.write("tests/app/tasks/test_mail_tasks.py", "def test_it(): ...\n")

    assert sample.messages() == [
        "app/tasks/mail_tasks.py:1: task send: no test names it;"
        " write one in tests/app/tasks/test_mail_tasks.py"
    ]


@pytest.mark.parametrize(
    "use",
    ["mail_tasks.send()", "from m import send", 'run("app.tasks.mail_tasks.send")'],
)
def test_task_may_be_named_in_several_ways(sample: Sample, use: str) -> None:
    sample.write("tests/app/tasks/test_mail_tasks.py", f"{use}\n")

    assert sample.messages() == []
