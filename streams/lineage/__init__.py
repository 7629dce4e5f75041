"""What the log holds about one request: collected, and laid out for eyes."""
