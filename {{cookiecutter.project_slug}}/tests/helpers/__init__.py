"""What tests of tasks are written with; `docs/testing.md` shows how."""
