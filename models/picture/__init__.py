"""Models that code pictures."""
