"""The tables of the business, one module per domain."""

from app.models.analytics import MonthlyTotal
from app.models.email import MailDelivery, Mailing
from app.models.export import Export
from app.models.imports import CaseResult, RejectedCase, Report, ReportChunk
from app.models.notification import WebhookDelivery
from app.models.onboarding import UserPreferences

__all__ = [
    "CaseResult",
    "Export",
    "MailDelivery",
    "Mailing",
    "MonthlyTotal",
    "RejectedCase",
    "Report",
    "ReportChunk",
    "UserPreferences",
    "WebhookDelivery",
]
