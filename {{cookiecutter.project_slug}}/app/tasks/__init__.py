"""Thin tasks: look up by id, call one service function, report progress, handle retry."""
