"""Models that code what a task needs of a picture."""
