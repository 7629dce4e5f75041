"""What Penstock serves over HTTP."""
