"""Retention: what is older than the settings allow is deleted, files first.

Everything goes in batches, so that no lock is held for long and an interrupted run has
done its part; the next one goes on where it stopped. A file goes before its row, because a
row without a file is found again and a file without a row is not.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.fields.files import FieldFile
from django.utils import timezone

from app.models import Export, MailDelivery, Mailing, Report
from config.env import env

BATCH_SIZE = 1000


def remove_reports() -> int:
    """Delete reports that ended longer than `REPORT_RETENTION_DAYS` ago.

    Their results, exports and files go with them.

    Returns:
        How many reports were deleted.
    """
    oldest = _days_ago(env.REPORT_RETENTION_DAYS)
    expired = list(Report.objects.filter(finished_at__lt=oldest))
    for report in expired:
        _remove_exports(report.exports.all())
        _delete(report.results.all())
        _remove_file(report.upload)
        report.delete()
    return len(expired)


def remove_exports() -> int:
    """Delete exports that ended longer than `EXPORT_RETENTION_DAYS` ago, with their files.

    Returns:
        How many exports were deleted.
    """
    oldest = _days_ago(env.EXPORT_RETENTION_DAYS)
    return _remove_exports(Export.objects.filter(finished_at__lt=oldest))


def remove_mailings() -> int:
    """Delete what was mailed longer than `MAILING_RETENTION_DAYS` ago.

    A mailing with a key loses its recipients and its text but stays: its key is what
    keeps the same occasion from being mailed again.

    Returns:
        How many deliveries were deleted.
    """
    oldest = _days_ago(env.MAILING_RETENTION_DAYS)
    expired = Mailing.objects.filter(finished_at__lt=oldest)
    deleted = _delete(MailDelivery.objects.filter(mailing__in=expired))
    expired.filter(key=None).delete()
    expired.exclude(body="").update(body="")
    return deleted


def _days_ago(days: int) -> datetime:
    return timezone.now() - timedelta(days=days)


def _remove_exports(exports: QuerySet[Export]) -> int:
    removed = 0
    while batch := list(exports[:BATCH_SIZE]):
        for export in batch:
            _remove_file(export.file)
            export.delete()
            removed += 1
    return removed


def _remove_file(file: FieldFile) -> None:
    if file.name:
        file.storage.delete(file.name)


def _delete(rows: QuerySet[Any]) -> int:
    """Delete rows that nothing refers to, in batches; return how many."""
    total = 0
    while batch := list(rows.values_list("pk", flat=True)[:BATCH_SIZE]):
        total += rows.model._default_manager.filter(pk__in=batch).delete()[0]
    return total
