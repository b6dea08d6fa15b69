"""Figures over HTTP."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from app.api.auth import token_required
from app.services import analytics
from app.tasks.analytics_tasks import compute_overview

DEFAULT_DAYS = 30
MAX_DAYS = 365


@token_required
@require_GET
def overview(request: HttpRequest) -> JsonResponse:
    """Answer 200 with the overview of the last `days` days, or 202 while it is computed."""
    sent = request.GET.get("days", str(DEFAULT_DAYS))
    if not (sent.isdecimal() and 1 <= int(sent) <= MAX_DAYS):
        return JsonResponse({"error": f"days: expected 1 to {MAX_DAYS}"}, status=400)
    days = int(sent)
    result = analytics.cached(days)
    if result is not None:
        return JsonResponse(result)
    compute_overview.delay(days)  # one run at a time, however many ask
    return JsonResponse({"state": "computing"}, status=202)
