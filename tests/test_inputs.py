"""Every answer is checked before anything is written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.baking import ROOT, bake, options

OPEN = "{" * 2

# Option, wrong value, what the message says is accepted.
WRONG = [
    ("project_name", "", "one line of printable text"),
    ("project_name", "   ", "one line of printable text, without blanks around it"),
    ("project_name", " Acme", "one line of printable text, without blanks around it"),
    ("project_name", "Acme\nService", "one line of printable text"),
    ("project_name", "Acme\tService", "one line of printable text"),
    ("project_name", "Acme\x1b[31m", "one line of printable text"),
    ("project_name", "A" * 51, "1 to 50 characters"),
    ("project_slug", "", "a Python identifier in lower case"),
    ("project_slug", ".", "a Python identifier in lower case"),
    ("project_slug", "..", "a Python identifier in lower case"),
    ("project_slug", "a/b", "a Python identifier in lower case"),
    ("project_slug", "../evil", "a Python identifier in lower case"),
    ("project_slug", "/tmp/evil/deep", "a Python identifier in lower case"),
    ("project_slug", "a\\b", "a Python identifier in lower case"),
    ("project_slug", "~", "a Python identifier in lower case"),
    ("project_slug", "Acme", "a Python identifier in lower case"),
    ("project_slug", "acme-service", "a Python identifier in lower case"),
    ("project_slug", "acme service", "a Python identifier in lower case"),
    ("project_slug", "acme.service", "a Python identifier in lower case"),
    ("project_slug", "2acme", "a Python identifier in lower case"),
    ("project_slug", "_acme", "a Python identifier in lower case"),
    ("project_slug", "acme_", "a Python identifier in lower case"),
    ("project_slug", "acme\n", "a Python identifier in lower case"),
    ("project_slug", "zoë", "a Python identifier in lower case"),
    ("project_slug", "аcme", "a Python identifier in lower case"),  # a Cyrillic а
    ("project_slug", "a" * 41, "1 to 40 characters"),
    ("project_slug", "class", "a word that is no keyword of Python"),
    ("project_slug", "async", "a word that is no keyword of Python"),
    ("project_slug", "match", "a word that is no keyword of Python"),
    ("project_slug", "json", "a name that no module of the standard library has"),
    ("project_slug", "email", "a name that no module of the standard library has"),
    ("project_slug", "celery", "a name that no dependency of the project has"),
    ("project_slug", "django", "a name that no dependency of the project has"),
    ("project_slug", "redis", "a name that no dependency of the project has"),
    ("project_slug", "kombu", "a name that no dependency of the project has"),
    ("project_slug", "test", "a name other than app, config, deploy, docs"),
    ("project_slug", "tests", "a name other than app, config, deploy, docs"),
    ("project_slug", "config", "a name other than app, config, deploy, docs"),
    ("project_slug", "app", "a name other than app, config, deploy, docs"),
    ("project_slug", "ledger", "a name other than app, config, deploy, docs"),
    ("project_slug", "tools", "a name other than app, config, deploy, docs"),
    ("project_slug", "docs", "a name other than app, config, deploy, docs"),
    ("project_slug", "manage", "a name other than app, config, deploy, docs"),
    ("description", "", "one line of printable text"),
    ("description", "first\nsecond", "one line of printable text"),
    ("description", "bell \a", "one line of printable text"),
    ("description", "d" * 201, "1 to 200 characters"),
    ("author_name", "", "one line of printable text"),
    ("author_name", "Ada\nLovelace", "one line of printable text"),
    ("author_name", "A" * 101, "1 to 100 characters"),
    ("author_email", "", "an e-mail address, such as ada@example.com"),
    ("author_email", "ada", "an e-mail address, such as ada@example.com"),
    ("author_email", "@example.com", "an e-mail address, such as ada@example.com"),
    ("author_email", "ada@", "an e-mail address, such as ada@example.com"),
    ("author_email", "ada@localhost", "an e-mail address, such as ada@example.com"),
    ("author_email", "a@b@example.com", "an e-mail address, such as ada@example.com"),
    ("author_email", "a..b@example.com", "an e-mail address, such as ada@example.com"),
    ("author_email", "ada@example..com", "an e-mail address, such as ada@example.com"),
    ("author_email", "ada@-x.com", "an e-mail address, such as ada@example.com"),
    ("author_email", '"a"@example.com', "an e-mail address, such as ada@example.com"),
    ("author_email", 'ada@example.com"', "an e-mail address, such as ada@example.com"),
    ("author_email", "ada@example.com\n", "an e-mail address, such as ada@example.com"),
    ("author_email", "a b@example.com", "an e-mail address, such as ada@example.com"),
    ("author_email", "a$b@example.com", "an e-mail address, such as ada@example.com"),
    ("author_email", "a" * 65 + "@example.com", "an e-mail address"),
    ("author_email", "ada@" + "a." * 130 + "com", "an e-mail address"),
    ("time_zone", "", "a name of the IANA database, such as UTC or Europe/Berlin"),
    ("time_zone", "Berlin", "a name of the IANA database, such as UTC"),
    ("time_zone", "europe/berlin", "a name of the IANA database, such as UTC"),
    ("time_zone", "UTC+2", "a name of the IANA database, such as UTC"),
    ("time_zone", "../UTC", "a name of the IANA database, such as UTC"),
]


def untouched(scratch: Path) -> bool:
    """Whether a run left nothing behind, neither a folder nor a record for a replay."""
    return [entry.name for entry in scratch.rglob("*")] == ["home"]


@pytest.mark.parametrize(("option", "value", "accepted"), WRONG)
def test_wrong_answer_is_refused_and_nothing_is_written(
    tmp_path: Path, option: str, value: str, accepted: str
) -> None:
    baked = bake(tmp_path, {"project_slug": "fine", option: value})

    line = next(line for line in baked.output.splitlines() if f"  {option}: " in line)
    assert f"got {value!r}"[:70] in line
    assert f"expected {accepted}" in line
    assert baked.exit_status == 1
    assert untouched(tmp_path)


@pytest.mark.parametrize(
    "option", ["license", "include_samples", "monitoring", "deployment", "broker"]
)
def test_unknown_choice_is_refused_and_nothing_is_written(
    tmp_path: Path, option: str
) -> None:
    choices = options()[option]

    baked = bake(tmp_path, {option: "perhaps"})

    message = f"perhaps provided for choice variable {option}, but the choices are"
    assert f"{message} {choices}" in baked.output
    assert baked.exit_status == 1
    assert untouched(tmp_path)


def test_all_wrong_answers_are_reported_at_once(tmp_path: Path) -> None:
    wrong = {
        "project_name": "",
        "project_slug": "a/b",
        "description": "",
        "author_name": "",
        "author_email": "ada",
        "time_zone": "Berlin",
    }

    baked = bake(tmp_path, wrong)

    first, *lines = baked.output.splitlines()
    assert first == "Nothing was generated:"
    assert [line.partition(":")[0].strip() for line in lines] == list(wrong)


def test_output_folder_that_exists_stays_as_it_was(tmp_path: Path) -> None:
    kept = tmp_path / "out" / "kept.txt"
    kept.parent.mkdir()
    kept.touch()

    bake(tmp_path, {"project_slug": "a/b"})

    assert list(kept.parent.iterdir()) == [kept]


@pytest.mark.parametrize("option", ["project_name", "description", "author_name"])
def test_template_tag_typed_at_the_prompt_is_refused(
    tmp_path: Path, option: str
) -> None:
    names = list(options())
    typed = ["", "fine", *[""] * (len(names) - 2)]
    typed[names.index(option)] = f"Acme {OPEN} 7 * 7 }}}}"

    baked = bake(tmp_path, flags=(), typed="\n".join(typed) + "\n")

    assert (
        f"{option}: got 'Acme {OPEN} 7 * 7 }}}}', expected text without" in baked.output
    )
    assert baked.exit_status == 1
    assert untouched(tmp_path)


def test_template_tag_on_the_command_line_is_never_left_half_written(
    tmp_path: Path,
) -> None:
    # Cookiecutter renders such values itself, before any code of this template runs.
    baked = bake(tmp_path, {"description": f"Acme {OPEN} 7 *"})

    assert baked.exit_status == 1
    assert untouched(tmp_path)


def test_hook_checks_what_a_replay_file_says(tmp_path: Path) -> None:
    answers = {name: "fine" for name in options()} | {
        "license": "GPL",
        "__checked": "yes",
    }
    extensions = ["local_extensions.TemplateExtension"]
    replay = tmp_path / "replay.json"
    context = {"cookiecutter": {**answers, "_extensions": extensions}}
    replay.write_text(json.dumps(context))

    baked = bake(tmp_path, flags=("--replay-file", str(replay)))

    for option, accepted in (
        ("author_email", "an e-mail address"),
        ("time_zone", "a name of the IANA database"),
        ("license", "one of MIT, Apache-2.0, BSD-3-Clause, Proprietary"),
        ("include_samples", "one of yes, no"),
        ("monitoring", "one of yes, no"),
        ("deployment", "one of compose, kubernetes"),
        ("broker", "one of redis, rabbitmq"),
    ):
        value = answers[option]
        assert f"{option}: got {value!r}, expected {accepted}" in baked.output
    assert baked.exit_status == 1
    assert not (tmp_path / "out" / "fine").exists()


def test_python_that_is_too_old_is_told_so() -> None:
    hook = ROOT / "hooks" / "pre_gen_project.py"
    pretend = "import runpy, sys; sys.version_info = (3, 9, 18); "
    command = [sys.executable, "-c", f"{pretend} runpy.run_path({str(hook)!r})"]

    finished = subprocess.run(command, capture_output=True, text=True)

    assert finished.returncode == 1
    assert finished.stderr.startswith("Python 3.10 or newer is needed; this is ")
