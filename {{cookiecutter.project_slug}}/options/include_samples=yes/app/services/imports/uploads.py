"""Taking a report in: the same bytes are the same report, however often they are sent."""

import hashlib
import io
from collections.abc import Callable
from typing import IO
from uuid import uuid4

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction

from app.models import Report
from app.services.errors import PermanentError
from app.services.imports import junit, lifecycle
from config.env import env

BYTES_PER_MEGABYTE = 1_000_000


class UploadTooLarge(PermanentError):
    """The file is larger than `IMPORT_MAX_MEGABYTES`."""


def max_bytes() -> int:
    """Return the size that an upload may have."""
    return env.IMPORT_MAX_MEGABYTES * BYTES_PER_MEGABYTE


def ignore(report_id: int) -> None:
    """Start nothing."""


def store(
    stream: IO[bytes], name: str, *, start: Callable[[int], object] = ignore
) -> Report:
    """Keep a report, and have it imported.

    The file is read in blocks, never as a whole. One that is already known is found by its
    digest; if its import failed, it becomes pending again.

    Args:
        stream: the file, opened for reading bytes, seekable.
        name: what people call it.
        start: called with the primary key of a report that is not done, in the
            transaction that stores it: a report that is kept is also imported. It starts
            nothing beside an import that is under way.

    Returns:
        The report; pending or running if it is to be imported, done if it has been.

    Raises:
        UploadTooLarge: if it is larger than allowed.
        InvalidReport: if its first element shows that it is no JUnit report.
    """
    size = stream.seek(0, io.SEEK_END)
    if size > max_bytes():
        raise UploadTooLarge(
            f"{name} has {size:,} bytes; "
            f"at most {env.IMPORT_MAX_MEGABYTES} MB are accepted"
        )
    stream.seek(0)
    junit.check_root(stream)
    digest = _digest(stream)
    stream.seek(0)
    path = default_storage.save(f"reports/{uuid4().hex}.xml", File(stream))
    new = Report(
        digest=digest,
        name=name[:255],
        upload=path,
        size=size,
        chunk_size=env.IMPORT_CHUNK_SIZE,
    )
    with transaction.atomic():
        # Of several that insert at the same time, the unique digest lets one through.
        Report.objects.bulk_create([new], ignore_conflicts=True)
        report = Report.objects.get(digest=digest)
        if report.state == Report.State.FAILED:
            lifecycle.restart(report.pk)
            report.refresh_from_db()
        if report.state != Report.State.DONE:
            # Running, too: its worker may have died.
            start(report.pk)
    if report.upload.name != path:
        default_storage.delete(path)
    return report


def _digest(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    stream.seek(0)
    while block := stream.read(junit.BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
