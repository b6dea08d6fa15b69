"""Exports over HTTP."""

import json

from django.db import transaction
from django.http import FileResponse, HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_POST

from app.api.auth import token_required
from app.models import Export
from app.services import export as exports
from app.tasks.export_tasks import write_export


@token_required
@require_POST
def create(request: HttpRequest) -> JsonResponse:
    """Accept `{"report": id, "outcome": "failed"}` and write the CSV in the background.

    Without `outcome` all cases are exported. Asking again gives the same export.
    """
    try:
        body = json.loads(request.body)
        report_id, outcome = int(body["report"]), str(body.get("outcome", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return JsonResponse({"error": "expected JSON with a report's id"}, status=400)
    try:
        with transaction.atomic():
            export = exports.request(report_id, outcome)
            if export.state != Export.State.DONE:
                # Running, too: its worker may have died; one at work keeps the key.
                write_export.delay(export.pk)
    except exports.InvalidExport as error:
        return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse(_describe(export), status=202)


@token_required
@require_GET
def show(request: HttpRequest, export_id: int) -> JsonResponse:
    """Show where an export stands."""
    return JsonResponse(_describe(get_object_or_404(Export, pk=export_id)))


@token_required
@require_GET
def download(request: HttpRequest, export_id: int) -> HttpResponseBase:
    """Send the file of an export that is done, in blocks."""
    export = get_object_or_404(Export, pk=export_id)
    if export.state != Export.State.DONE:
        return JsonResponse({"error": f"the export is {export.state}"}, status=409)
    return FileResponse(
        export.file.open(),
        as_attachment=True,
        filename=f"report-{export.report_id}-{export.outcome or 'all'}.csv",
        content_type="text/csv; charset=utf-8",
    )


def _describe(export: Export) -> dict[str, object]:
    return {
        "id": export.pk,
        "report": export.report_id,
        "outcome": export.outcome,
        "state": export.state,
        "rows": export.rows,
        "error": export.error,
    }
