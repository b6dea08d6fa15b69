"""Access to the API by bearer token."""

from collections.abc import Callable
from functools import wraps
from hmac import compare_digest
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from config.env import env

View = Callable[..., HttpResponseBase]


def token_required(view: View) -> View:
    """Let a request through only with `Authorization: Bearer API_TOKEN`.

    A browser never sends that header by itself, so that no CSRF check is needed.
    """

    @csrf_exempt
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        expected = env.API_TOKEN.get_secret_value().encode()
        if scheme != "Bearer" or not compare_digest(token.encode(), expected):
            message = "a valid bearer token is required"
            return JsonResponse({"error": message}, status=401)
        return view(request, *args, **kwargs)

    return checked
