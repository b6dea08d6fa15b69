"""Onboarding of users over HTTP."""

from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_POST

from app.api.auth import token_required
from app.workflows.user_onboarding import orchestrator


@token_required
@require_POST
def start(request: HttpRequest, user_id: int) -> JsonResponse:
    """Set a user up and send the welcome; what was done before is not repeated."""
    user = get_object_or_404(User, pk=user_id)
    return JsonResponse({"task_id": orchestrator.start(user.pk)}, status=202)
