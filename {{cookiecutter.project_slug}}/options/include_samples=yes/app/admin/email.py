"""Admin pages of the email domain."""

from uuid import uuid4

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from app.admin.read_only import ReadOnly
from app.models import MailDelivery, Mailing
from app.services import email
from app.tasks.email_tasks import send_bulk


@admin.register(Mailing)
class MailingAdmin(ReadOnly, admin.ModelAdmin[Mailing]):
    """Mailings, newest first, with how far each is."""

    list_display = ("subject", "key", "deliveries", "created_at", "finished_at")
    search_fields = ("subject", "key")
    ordering = ("-created_at",)
    readonly_fields = ("key", "created_at", "finished_at")
    actions = ("send_uncertain_again",)

    def deliveries(self, mailing: Mailing) -> str:
        """Return how many deliveries are in which state, such as `sent 8, failed 1`."""
        states = email.counts(mailing.pk)
        return ", ".join(f"{state} {count}" for state, count in states.items() if count)

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        """Whoever may change mailings may decide this, although no form is offered."""
        return request.user.has_perm("app.change_mailing")

    @admin.action(
        description="Send uncertain deliveries again (they may arrive twice)",
        permissions=["send_again"],
    )
    def send_uncertain_again(
        self, request: HttpRequest, queryset: QuerySet[Mailing]
    ) -> None:
        """Send to the recipients of whom nobody knows whether they got the message."""
        with transaction.atomic():
            for mailing in queryset:
                again = email.send_uncertain_again(mailing.pk)
                # An active run may have passed these rows already: they get their own.
                key = f"mailing:{mailing.pk}:again:{uuid4()}" if again else None
                send_bulk.apply_async((mailing.pk,), unique_key=key)


@admin.register(MailDelivery)
class MailDeliveryAdmin(ReadOnly, admin.ModelAdmin[MailDelivery]):
    """Deliveries by state: `uncertain` is the one that wants a person's decision."""

    list_display = ("recipient", "mailing", "state", "attempts", "settled_at")
    list_filter = ("state",)
    list_select_related = ("mailing",)
    search_fields = ("recipient", "mailing__subject")
    ordering = ("-pk",)
    readonly_fields = ("mailing", "message_id", "attempts", "settled_at")
