"""CSV that is made while it is read: memory holds one row, however many there are."""

import csv
import io
from collections.abc import Buffer, Iterable, Iterator, Sequence

# A spreadsheet runs a cell that begins with one of these as a formula:
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class CsvStream(io.RawIOBase):
    """Rows as a binary stream that can be read once, for any storage.

    Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers
    stay as they are.
    """

    def __init__(self, rows: Iterable[Sequence[object]]) -> None:
        self._lines = _encoded(rows)
        self._rest = b""

    def readable(self) -> bool:
        """Tell `io.BufferedReader` that it may read."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill the buffer with the next bytes; 0 is the end."""
        view = memoryview(buffer).cast("B")
        chunk = self._rest or next(self._lines, b"")
        size = min(len(view), len(chunk))
        view[:size] = chunk[:size]
        self._rest = chunk[size:]
        return size


def _encoded(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    line = io.StringIO()
    writer = csv.writer(line)
    for row in rows:
        writer.writerow([_harmless(cell) for cell in row])
        yield line.getvalue().encode()
        line.seek(0)
        line.truncate()


def _harmless(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(FORMULA_STARTS):
        return f"'{cell}"
    return cell
