"""One call across the planes."""
