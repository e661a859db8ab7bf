"""Lossless coding of pixels without a network: `photo` for photographs (LOSSLESS.md)."""
