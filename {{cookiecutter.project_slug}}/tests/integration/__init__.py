"""Tests of real processes: worker, broker and database."""
