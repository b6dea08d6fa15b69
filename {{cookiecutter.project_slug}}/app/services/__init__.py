"""Business logic by domain. Knows nothing of Celery: services never import tasks."""
