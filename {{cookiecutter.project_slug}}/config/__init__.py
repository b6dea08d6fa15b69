"""Where environments differ: settings, queues, the Celery app, URLs."""

# Loaded with Django, so that @shared_task finds this app:
# https://docs.celeryq.dev/en/stable/django/first-steps-with-django.html
from config.celery import app as celery_app

__all__ = ["celery_app"]
