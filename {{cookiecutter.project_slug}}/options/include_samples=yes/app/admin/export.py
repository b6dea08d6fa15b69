"""Admin pages of the export domain."""

from django.contrib import admin

from app.admin.read_only import ReadOnly
from app.models import Export


@admin.register(Export)
class ExportAdmin(ReadOnly, admin.ModelAdmin[Export]):
    """Exports, newest first."""

    list_display = ("report", "outcome", "state", "rows", "created_at", "finished_at")
    list_filter = ("state", "outcome")
    list_select_related = ("report",)
    search_fields = ("report__name",)
    ordering = ("-created_at",)
    readonly_fields = ("report", "outcome", "file", "rows", "created_at", "finished_at")
