"""From a new account to a user who knows of it: set up defaults, then send the welcome."""
