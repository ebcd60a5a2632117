"""NEW: face."""
