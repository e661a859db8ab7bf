"""Lossless coding of pixels without a network: `photo` and `screen` (LOSSLESS.md, SCREEN.md)."""
