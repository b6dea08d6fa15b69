"""JUnit XML, read as a stream of test cases.

There is no standard, only a family: pytest, Maven, Gradle, Go, Jest, PHPUnit and others
write `<testsuites>` or `<testsuite>` with any nesting below and `<testcase>` somewhere
inside. What they agree on is read; the rest, such as `<system-out>`, is passed over.

The parser feeds a collector that holds one open case and no tree, so that memory does not
grow with the file. The input is not trusted: document types, entities and external
references are refused before anything is expanded, and what is kept of a case is limited.
"""

from collections.abc import Iterator
from typing import IO, Literal, TypedDict

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from app.services.errors import PermanentError

BLOCK_BYTES = 64 * 1024
MAX_DEPTH = 100
MAX_NAME_CHARACTERS = 1_000
MAX_MESSAGE_CHARACTERS = 1_000
MAX_DETAILS_CHARACTERS = 10_000

ROOTS = ("testsuites", "testsuite")
Outcome = Literal["passed", "failed", "errored", "skipped"]

# The worst outcome that a case reports is its outcome.
_OUTCOMES: dict[str, Outcome] = {
    "skipped": "skipped",
    "failure": "failed",
    "error": "errored",
}
_SEVERITY: tuple[Outcome, ...] = ("passed", "skipped", "failed", "errored")
# Maven repeats failing tests; these tell of a run before the one that passed:
# https://maven.apache.org/surefire/maven-surefire-plugin/examples/rerun-failing-tests.html
_FLAKY = ("flakyFailure", "flakyError")
# GoogleTest and CTest say by attribute that a test did not run.
_NOT_RUN = {"notrun", "disabled", "skipped", "suppressed"}


class InvalidReport(PermanentError):
    """The file is not a report that can be read; the message says why."""


class RawCase(TypedDict):
    """A case as the file has it; only its length is limited."""

    position: int
    suite: str
    classname: str
    name: str
    time: str | None
    outcome: Outcome
    flaky: bool
    message: str
    details: str


def read_cases(stream: IO[bytes]) -> Iterator[RawCase]:
    """Read the cases of a report, in the order of the file.

    Args:
        stream: the file, opened for reading bytes; read in blocks.

    Yields:
        One case at a time; positions count from 1.

    Raises:
        InvalidReport: where the file stops being a JUnit report; the cases before that
            place have been yielded by then.
    """
    collector = _Collector()
    parser = _Parser(collector)
    while block := stream.read(BLOCK_BYTES):
        parser.feed(block)
        yield from collector.take()
    parser.close()
    yield from collector.take()


def check_root(stream: IO[bytes]) -> None:
    """Read as far as the first element, to refuse at once what is no report at all.

    Args:
        stream: the file, opened for reading bytes; left where the reading stopped.

    Raises:
        InvalidReport: if the file is empty, is no XML or has another root element.
    """
    collector = _Collector()
    parser = _Parser(collector)
    while not collector.has_root:
        block = stream.read(BLOCK_BYTES)
        if not block:
            parser.close()
            return
        parser.feed(block)


class _Collector:
    """What the parser calls: keeps the names of the open suites and the open case."""

    def __init__(self) -> None:
        self.has_root = False
        self._depth = 0
        self._suites: list[tuple[int, str]] = []
        self._case: RawCase | None = None
        self._case_depth = 0
        self._text: list[str] | None = None
        self._text_left = 0
        self._position = 0
        self._finished: list[RawCase] = []

    def take(self) -> list[RawCase]:
        """Return the cases that have ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = _local(tag)
        if not self.has_root:
            self._check_root(tag)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidReport(f"elements are nested more than {MAX_DEPTH} deep")
        if self._case is not None:
            if self._depth == self._case_depth + 1:
                self._note_outcome(self._case, tag, attributes)
        elif tag == "testcase":
            self._open_case(attributes)
        elif tag == "testsuite":
            self._suites.append((self._depth, attributes.get("name", "")))

    def data(self, text: str) -> None:
        if self._text is not None and self._text_left > 0:
            self._text.append(text[: self._text_left])
            self._text_left -= len(text)

    def end(self, tag: str) -> None:
        if self._case is not None:
            if self._depth == self._case_depth + 1:
                self._end_text(self._case)
            elif self._depth == self._case_depth:
                self._finished.append(self._case)
                self._case = None
        elif self._suites and self._suites[-1][0] == self._depth:
            self._suites.pop()
        self._depth -= 1

    def close(self) -> None:
        """Nothing is left to build when the file ends."""

    def _check_root(self, tag: str) -> None:
        if tag not in ROOTS:
            raise InvalidReport(
                f"not a JUnit report: its root element is <{tag[:50]}>, "
                "expected <testsuites> or <testsuite>"
            )
        self.has_root = True

    def _open_case(self, attributes: dict[str, str]) -> None:
        self._position += 1
        self._case_depth = self._depth
        suite = " / ".join(name for _, name in self._suites if name)
        flags = {attributes.get("status", ""), attributes.get("result", "")}
        self._case = RawCase(
            position=self._position,
            suite=suite[:MAX_NAME_CHARACTERS],
            classname=attributes.get("classname", "")[:MAX_NAME_CHARACTERS],
            name=attributes.get("name", "")[:MAX_NAME_CHARACTERS],
            time=attributes.get("time"),
            outcome="skipped" if flags & _NOT_RUN else "passed",
            flaky=False,
            message="",
            details="",
        )

    def _note_outcome(
        self, case: RawCase, tag: str, attributes: dict[str, str]
    ) -> None:
        if tag in _FLAKY:
            case["flaky"] = True
        outcome = _OUTCOMES.get(tag)
        if outcome is None:
            return
        worse = _SEVERITY.index(outcome) > _SEVERITY.index(case["outcome"])
        if worse or not (case["message"] or case["details"]):
            case["outcome"] = max(case["outcome"], outcome, key=_SEVERITY.index)
            message = attributes.get("message") or attributes.get("type", "")
            case["message"] = message[:MAX_MESSAGE_CHARACTERS]
            case["details"] = ""
            self._text, self._text_left = [], MAX_DETAILS_CHARACTERS

    def _end_text(self, case: RawCase) -> None:
        if self._text is not None:
            case["details"] = "".join(self._text).strip()
            self._text = None


class _Parser:
    """A parser that refuses what is dangerous, and whose errors are for people."""

    def __init__(self, collector: _Collector) -> None:
        self._parser = DefusedXMLParser(target=collector, forbid_dtd=True)
        self._empty = True

    def feed(self, block: bytes) -> None:
        self._empty = False
        try:
            self._parser.feed(block)
        except DefusedXmlException:
            raise InvalidReport(
                "a document type or an entity is declared, which is refused because it "
                "can expand without bound or read other files; no test tool needs one"
            ) from None
        except ParseError as error:
            raise InvalidReport(f"not well-formed XML: {error}") from None
        except (LookupError, ValueError) as error:
            raise InvalidReport(f"unknown encoding: {error}") from None

    def close(self) -> None:
        if self._empty:
            raise InvalidReport("the file is empty; expected a JUnit XML report")
        try:
            self._parser.close()
        except ParseError as error:
            raise InvalidReport(f"the XML ends too early: {error}") from None


def _local(tag: str) -> str:
    """Return a tag without its XML namespace."""
    return tag.rpartition("}")[2]
