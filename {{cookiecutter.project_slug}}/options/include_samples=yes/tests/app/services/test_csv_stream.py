"""CSV that is made while it is read."""

import csv
import io
from collections.abc import Iterator

import pytest

from app.services.csv_stream import CsvStream


def read(*cells: object) -> list[str]:
    [row] = csv.reader(io.StringIO(CsvStream([cells]).read().decode()))
    return row


def test_rows_are_made_only_as_they_are_read() -> None:
    made = []

    def rows() -> Iterator[tuple[int]]:
        for number in range(1000):
            made.append(number)
            yield (number,)

    stream = CsvStream(rows())
    stream.read(1)

    assert made == [0]


@pytest.mark.parametrize("size", [1, 7, 8192])
def test_bytes_are_the_same_however_many_are_read_at_once(size: int) -> None:
    rows = [(number, "ünï" * number) for number in range(50)]
    stream = io.BufferedReader(CsvStream(rows), buffer_size=size)

    chunks = iter(lambda: stream.read(size), b"")

    text = b"".join(chunks).decode()
    assert list(csv.reader(io.StringIO(text))) == [[str(a), b] for a, b in rows]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_text_that_a_spreadsheet_would_run_is_made_harmless(start: str) -> None:
    assert read(f"{start}cmd|' /C calc'!A0") == [f"'{start}cmd|' /C calc'!A0"]


def test_numbers_and_plain_text_stay_as_they_are() -> None:
    assert read(-1.5, "a=b", None, 'say "a, b"') == ["-1.5", "a=b", "", 'say "a, b"']
