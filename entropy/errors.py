"""Exceptions of the entropy coder."""

from __future__ import annotations


class CorruptStream(ValueError):
    """The bytes are not a stream that these tables and indexes can have made.

    The stream is damaged or cut short, or it is decoded with other tables, indexes or symbol
    counts than it was encoded with; the coder cannot tell which.
    """
