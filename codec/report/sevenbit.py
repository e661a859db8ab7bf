"""Bytes as text of a page: seven bits a character, where base64 has six.

A character is 0…127 and one byte of UTF-8, but for four that HTML, or a program that copies it, may
change: those become the characters 128 further on, of two bytes. In all 1.17 bytes of page a byte;
base64 takes 1.33. codec/report/pages/report.js has the other direction.
"""

from __future__ import annotations

import numpy as np

_CHANGED = b"\0\n\r<"
"""Replaced or joined by HTML's parser, or the beginning of a tag."""


def text(raw: bytes) -> str:
    """For the content of a `<script type="text/plain">` in a page that says it is UTF-8."""
    bits = np.unpackbits(np.frombuffer(raw, np.uint8))
    groups = np.pad(bits, (0, -len(bits) % 7)).reshape(-1, 7)
    values = np.packbits(groups, axis=1)[:, 0] >> 1
    values[np.isin(values, list(_CHANGED))] |= 128
    return values.tobytes().decode("latin-1")


def raw(text: str) -> bytes:
    """What `text` got."""
    values = np.frombuffer(text.encode("latin-1"), np.uint8)
    bits = np.unpackbits(values[:, None], axis=1)[:, 1:].ravel()
    return np.packbits(bits[: len(bits) // 8 * 8]).tobytes()
