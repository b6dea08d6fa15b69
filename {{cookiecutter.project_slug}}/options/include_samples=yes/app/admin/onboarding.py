"""Admin pages of the onboarding domain."""

from django.contrib import admin

from app.models import UserPreferences


@admin.register(UserPreferences)
class UserPreferencesAdmin(admin.ModelAdmin[UserPreferences]):
    """Preferences by user."""

    list_display = ("user", "time_zone", "receives_digest", "created_at")
    list_select_related = ("user",)
    search_fields = ("user__username", "user__email")
    readonly_fields = ("created_at",)
