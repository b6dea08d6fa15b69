"""The project's own tools. They need nothing but the standard library."""
