"""URLs of the service: the API and the admin.

The health checks are answered before Django looks for URLs: `config/health.py`.
"""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/", include("app.api.urls")),
]
