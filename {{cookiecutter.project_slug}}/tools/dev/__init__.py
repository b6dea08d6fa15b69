"""The service on one machine with nothing installed: its own broker, one terminal."""
