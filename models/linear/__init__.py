"""Pictures by a linear transform of full rank, without a network (LINEAR.md)."""
