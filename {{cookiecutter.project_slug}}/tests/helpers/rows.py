"""What tasks leave behind in the tables of the business."""

from typing import Any

from django.apps import apps


def business_rows() -> dict[str, list[dict[str, Any]]]:
    """Return every row of `app`, by table: effects to be compared.

    For effects elsewhere, such as mail or requests to another service, take what the other
    side has received.
    """
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in apps.get_app_config("app").get_models()
    }
