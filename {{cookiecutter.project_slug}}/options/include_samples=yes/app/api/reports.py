"""Test reports over HTTP: send one, see how its import stands."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from app.api.auth import token_required
from app.models import Report
from app.services import imports
from app.workflows.data_pipeline import orchestrator

PAGE_SIZE = 50

# What multipart/form-data adds to the file: boundaries and the headers of its parts.
MULTIPART_BYTES = 64 * 1024

EXPECTED = "expected multipart/form-data with the file in the field `report`"


@token_required
@require_http_methods(["GET", "POST"])
def collection(request: HttpRequest) -> JsonResponse:
    """List the reports, newest first, or take one in."""
    return _create(request) if request.method == "POST" else _list(request)


@token_required
@require_GET
def show(request: HttpRequest, report_id: int) -> JsonResponse:
    """Show where an import stands, and its summary once it is done."""
    report = get_object_or_404(Report, pk=report_id)
    return JsonResponse(_describe(report) | {"summary": report.summary})


def _create(request: HttpRequest) -> JsonResponse:
    """Store the file of the field `report`, and import it in the background.

    Returns:
        202 while the report is to be imported, 200 if it has been, 400 for what is no
        report, 413 for one that is too large.
    """
    # Refused by its header, a huge body is never read.
    length = int(request.headers.get("Content-Length") or 0)
    if length > imports.max_bytes() + MULTIPART_BYTES:
        return _refuse(f"{length:,} bytes are too many", status=413)
    try:
        upload = request.FILES.get("report")
    except MultiPartParserError as error:
        return _refuse(f"{error}; {EXPECTED}", status=400)
    if upload is None:
        return _refuse(EXPECTED, status=400)
    try:
        name = upload.name or "report.xml"
        report = imports.store(upload, name, start=orchestrator.start)
    except imports.UploadTooLarge as error:
        return _refuse(str(error), status=413)
    except imports.InvalidReport as error:
        return _refuse(str(error), status=400)
    done = report.state == Report.State.DONE
    return JsonResponse(
        _describe(report),
        status=200 if done else 202,
        headers={"Location": reverse("report", args=[report.pk])},
    )


def _list(request: HttpRequest) -> JsonResponse:
    reports = Paginator(Report.objects.order_by("-pk"), PAGE_SIZE)
    page = reports.get_page(request.GET.get("page"))
    return JsonResponse(
        {
            "reports": [_describe(report) for report in page],
            "page": page.number,
            "pages": reports.num_pages,
        }
    )


def _describe(report: Report) -> dict[str, Any]:
    progress = imports.progress(report)
    return {
        "id": report.pk,
        "name": report.name,
        "state": report.state,
        "error": report.error,
        "progress": {"done": progress.chunks_done, "total": progress.chunks_total},
        "created_at": report.created_at,
        "finished_at": report.finished_at,
    }


def _refuse(error: str, *, status: int) -> JsonResponse:
    return JsonResponse({"error": error}, status=status)
