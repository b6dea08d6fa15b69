"""The admin pages, one module per domain."""

from app.admin import analytics, email, export, imports, notification, onboarding

__all__ = ["analytics", "email", "export", "imports", "notification", "onboarding"]
