"""The service's settings, with the tasks of the tests."""

from config.settings import *
from config.settings import INSTALLED_APPS

INSTALLED_APPS += ["tests.harness.effects"]
CELERY_IMPORTS = ["tests.harness.effects.tasks"]
