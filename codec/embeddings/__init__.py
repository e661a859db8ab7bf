"""Vectors of embeddings in few bits: on their principal axes, in blocks that decode alone."""

from __future__ import annotations

from lictor.codec.embeddings.api import EmbeddingInfo, SearchRows, decode, encode, info, searchable

__all__ = ["EmbeddingInfo", "SearchRows", "decode", "encode", "info", "searchable"]
