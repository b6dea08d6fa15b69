"""URLs of the service: the API, the admin and the two health checks."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from config import health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/", include("app.api.urls")),
    path("healthz", health.alive),
    path("readyz", health.ready),
]
