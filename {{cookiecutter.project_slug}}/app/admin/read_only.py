"""Rows that people read and delete, but do not write."""

from django.db.models import Model
from django.http import HttpRequest


class ReadOnly:
    """For rows that the service writes: one added by hand would never be enqueued.

    Goes before `ModelAdmin` among the bases; deleting stays a matter of permission.
    """

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False
