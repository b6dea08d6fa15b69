"""URLs of the API."""

from django.urls import path

from app.api import (
    analytics,
    exports,
    mailings,
    notifications,
    onboarding,
    reports,
)

urlpatterns = [
    path("analytics", analytics.overview),
    path("exports", exports.create),
    path("exports/<int:export_id>", exports.show),
    path("exports/<int:export_id>/file", exports.download),
    path("mailings", mailings.create),
    path("mailings/<int:mailing_id>", mailings.show),
    path("notifications", notifications.create),
    path("notifications/<int:delivery_id>", notifications.show),
    path("reports", reports.collection),
    path("reports/<int:report_id>", reports.show, name="report"),
    path("users/<int:user_id>/onboarding", onboarding.start),
]
