"""The settings of `impatient_settings`, with the tasks of the tests."""

from tests.harness.durable_settings import *
