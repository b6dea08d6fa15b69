"""A template that was broken generates nothing, and says what is wrong and where.

Each test breaks one thing in a copy of the template. That the copy would bake otherwise is
what every other test shows.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.baking import bake, copy_of_the_template

TASK = "app/tasks/notification_tasks.py"

Break = Callable[[Path], None]


def replacing(path: str, old: str, new: str) -> Break:
    """Return a break that replaces some text of a file."""

    def apply(project: Path) -> None:
        text = (project / path).read_text(encoding="utf-8")
        assert old in text
        (project / path).write_text(text.replace(old, new), encoding="utf-8")

    return apply


def writing(path: str, text: str) -> Break:
    """Return a break that adds a file, or replaces one."""

    def apply(project: Path) -> None:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(text, encoding="utf-8")

    return apply


def removing(path: str) -> Break:
    """Return a break that removes a file."""
    return lambda project: (project / path).unlink()


RAW = "{" + "% raw %" + "}" + "{" * 2 + " left }}" + "{" + "% endraw %" + "}"

BREAKS = {
    "undeclared queue": (
        replacing(TASK, 'queue="io"', 'queue="warp"'),
        f"{TASK}:17: [known-queue] task deliver_webhook: queue 'warp' is not in config/queues.py",
    ),
    "queue without worker": (
        replacing("docker-compose.yml", "manage.py worker slow", "manage.py beat"),
        "[queue-worker] queue 'slow' has no worker in docker-compose.yml",
    ),
    "grace that differs from the topology": (
        replacing("docker-compose.yml", "stop_grace_period: 310s", "init: true"),
        "[queue-worker] worker-io has another grace than its queue",
    ),
    "time limit above the queue's": (
        replacing(TASK, "time_limit=40", "time_limit=400"),
        "[time-limits] task deliver_webhook: time_limit=400 exceeds the 300 s of its queue",
    ),
    "implicit option of a task": (
        replacing(TASK, "    acks_late=True,\n", ""),
        "[acks-late] task deliver_webhook: acks_late is missing",
    ),
    "file of 501 lines": (
        writing("app/long.py", "x = 1\n" * 501),
        "app/long.py:501: [file-length] 501 lines, at most 500 are accepted",
    ),
    "leftover Jinja": (
        writing("docs/new.md", f"# New\n{RAW}\n"),
        "docs/new.md:2: [template-tags] template tag '{" + "{ left }}' is left",
    ),
    "Python that does not parse": (
        writing("app/broken.py", "def\n"),
        "app/broken.py:1: [python-syntax] not valid Python",
    ),
    "variable that the example lacks": (
        replacing(".env.example", "LOG_LEVEL=INFO\n", ""),
        "[env-documented] LOG_LEVEL is not in .env.example",
    ),
    "variable that no setting declares": (
        replacing(".env.example", "LOG_LEVEL=INFO\n", "LOG_LEVEL=INFO\nLOUD=1\n"),
        "[env-declared] LOUD is not declared in config/env.py or config/app_env.py",
    ),
    "task module without test module": (
        removing("tests/app/tasks/test_notification_tasks.py"),
        f"{TASK}:1: [test-modules] has tasks but no tests/app/tasks/test_notification_tasks.py",
    ),
    "overlay of no option": (
        writing("options/license_=MIT/LICENSE", "MIT\n"),
        "options/license_=MIT: cookiecutter.json has no 'license_'",
    ),
    "secrets that cannot be written": (
        removing(".env.example"),
        "tools.make_env failed on the generated project",
    ),
}


@pytest.mark.parametrize(("broken", "message"), BREAKS.values(), ids=list(BREAKS))
def test_broken_output_is_removed_and_named(
    tmp_path: Path, broken: Break, message: str
) -> None:
    template = tmp_path / "template"
    broken(copy_of_the_template(template))

    baked = bake(tmp_path, {"include_samples": "no"}, template=template)

    assert message in baked.output
    assert baked.exit_status == 1
    assert not baked.root.exists()


def test_broken_output_never_takes_an_existing_project_with_it(tmp_path: Path) -> None:
    template = tmp_path / "template"
    writing("app/broken.py", "def\n")(copy_of_the_template(template))
    mine = tmp_path / "out" / "acme_service" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.touch()

    flags = ("--no-input", "--overwrite-if-exists")
    baked = bake(tmp_path, template=template, flags=flags)

    assert baked.exit_status == 1
    assert mine.exists()
