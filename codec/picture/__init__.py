"""Pictures: transforms and tiles, alpha, regions, targets, and what a file holds beside pixels."""
