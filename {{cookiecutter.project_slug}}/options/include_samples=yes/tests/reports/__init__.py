"""Reports for tests: as real tools write them, and made to measure."""

from io import BytesIO
from pathlib import Path
from xml.sax.saxutils import quoteattr

FOLDER = Path(__file__).parent


def path(name: str) -> Path:
    """Return the file of a report that looks like the tool `name` wrote it."""
    return FOLDER / f"{name}.xml"


def report(*cases: str, suite: str = "suite") -> BytesIO:
    """Return a report with these `<testcase>` elements, open for reading."""
    body = "\n".join(cases)
    return BytesIO(f'<testsuite name="{suite}">{body}</testsuite>'.encode())


def case(name: str = "test_a", time: str = "0.1", inner: str = "") -> str:
    """Return one `<testcase>` element; `inner` is what it contains."""
    attributes = f"name={quoteattr(name)} time={quoteattr(time)}"
    return f'<testcase classname="tests.test_a" {attributes}>{inner}</testcase>'


def passing(count: int) -> list[str]:
    """Return that many passing cases with names of their own."""
    return [case(f"test_{number}") for number in range(1, count + 1)]
