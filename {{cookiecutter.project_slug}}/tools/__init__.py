"""The project's own tools; make_env and contract need only the standard library."""
