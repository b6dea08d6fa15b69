"""Admin pages of the analytics domain."""

from django.contrib import admin

from app.admin.read_only import ReadOnly
from app.models import MonthlyTotal


@admin.register(MonthlyTotal)
class MonthlyTotalAdmin(ReadOnly, admin.ModelAdmin[MonthlyTotal]):
    """Months, newest first."""

    list_display = ("month", "reports", "passed", "failed", "errored", "skipped")
    ordering = ("-month",)
    readonly_fields = ("created_at",)
