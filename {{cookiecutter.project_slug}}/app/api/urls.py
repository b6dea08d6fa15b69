"""URLs of the API."""

from django.urls import path

from app.api import notifications

urlpatterns = [
    path("notifications", notifications.create),
    path("notifications/<int:delivery_id>", notifications.show),
]
