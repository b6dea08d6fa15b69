"""The team's business: models, services, tasks, workflows and the API."""
