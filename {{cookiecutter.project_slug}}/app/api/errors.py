"""What the API answers when it cannot do its part."""

from collections.abc import Callable

import structlog
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from redis.exceptions import ConnectionError as CacheUnavailable

RETRY_AFTER_SECONDS = 30

log = structlog.stdlib.get_logger("web")


class ApiErrorsMiddleware:
    """Answer in JSON: 404 for what does not exist, 503 while the cache is down.

    A broker that is down is no error: tasks are stored, and start when it is back.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> JsonResponse | None:
        """Turn such an error into an answer; any other error is not ours."""
        if isinstance(exception, Http404) and request.path.startswith("/api/"):
            return JsonResponse({"error": "not found"}, status=404)
        if not isinstance(exception, CacheUnavailable):
            return None
        log.error("cache is down", path=request.path, error=str(exception))
        return JsonResponse(
            {"error": "not available at the moment; repeat the request later"},
            status=503,
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
