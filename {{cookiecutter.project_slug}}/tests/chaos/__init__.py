"""Tests that break a running service on purpose."""
