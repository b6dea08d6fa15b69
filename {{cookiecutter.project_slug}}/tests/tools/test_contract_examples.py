"""The examples on the pages of the rules: each bad one is found, once; each good one is not.

A heading `## Bad` or `## Good` begins an example, its blocks name the file that they stand
for, and a page is the only test that a plain rule needs.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.tools.sample_project import Sample
from tools.contract.rule import Rule
from tools.contract.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "rules"
INDEX = ROOT / "docs" / "contract.md"

_EXAMPLE = re.compile(r"^## (Bad|Good)(?:: (.+))?$", re.MULTILINE)
_BLOCK = re.compile(r"^```\w+ (\S+)(?: lines=(\d+))?\n(.*?)^```$", re.MULTILINE | re.S)


class Example(NamedTuple):
    """A variant of the small project.

    Attributes:
        rule: the id of the rule on whose page it stands.
        kind: Bad or Good.
        title: what it is an example of.
        files: that it writes over those of the project.
    """

    rule: str
    kind: str
    title: str
    files: dict[str, str]

    def __str__(self) -> str:
        return " ".join(filter(None, [self.rule, self.kind.lower(), self.title]))


def examples(page: Path) -> list[Example]:
    """Return the examples on a page, in order."""
    _, *parts = _EXAMPLE.split(page.read_text(encoding="utf-8"))
    return [
        Example(page.stem, kind, title or "", dict(_files(text)))
        for kind, title, text in zip(*[iter(parts)] * 3, strict=True)
    ]


def _files(text: str) -> list[tuple[str, str]]:
    return [
        (path, code * int(lines) if lines else code)
        for path, lines, code in _BLOCK.findall(text)
    ]


EXAMPLES = [
    example for page in sorted(PAGES.glob("*.md")) for example in examples(page)
]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_bad_example_is_found_once_and_a_good_one_is_not(
    sample: Sample, example: Example
) -> None:
    for path, text in example.files.items():
        sample.write(path, text)

    assert example.files
    assert sample.rules() == ([example.rule] if example.kind == "Bad" else [])


def test_every_rule_has_its_page_and_every_page_its_rule() -> None:
    assert {page.stem for page in PAGES.iterdir()} == {rule.id for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_page_says_why_and_shows_both_ways(rule: Rule) -> None:
    page = ROOT / rule.page

    assert page.read_text(encoding="utf-8").startswith(
        f"# {rule.id}\n\n**{rule.why}**\n"
    )
    assert {example.kind for example in examples(page)} == {"Bad", "Good"}


def test_index_lists_every_rule_with_its_reason() -> None:
    rows = [f"| [{rule.id}](rules/{rule.id}.md) | {rule.why} |" for rule in RULES]

    index = INDEX.read_text(encoding="utf-8").splitlines()

    assert [line for line in index if line.startswith("| [")] == rows


def test_id_belongs_to_one_rule_in_kebab_case() -> None:
    ids = [rule.id for rule in RULES]

    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", id) for id in ids)
