"""The admin pages, one module per domain."""

from app.admin import notification

__all__ = ["notification"]
