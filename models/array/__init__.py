"""Models that code arrays."""
